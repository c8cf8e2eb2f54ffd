"""``reconcile`` on the real stack: what Kafka loses is done all the same, what is wanted stays."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from kartoteka_contracts.access import grant
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, Version
from kartoteka_contracts.keys import record_key
from kartoteka_contracts.records import DocumentRecord, encode_record
from kartoteka_contracts.topics import JOB_TOPICS
from kartoteka_index.client import QdrantSettings
from kartoteka_index.points import ChunkPoint
from kartoteka_index.upkeep import Upkeep, discover
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_testkit import builders
from kartoteka_testkit.kafka_topics import read_all
from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

_EVENTS = (
    "document_submitted",
    "document_deletion_requested",
    "task_cancellation_requested",
    "cabinet_deletion_requested",
)


async def _reconcile(stack: Stack, *arguments: str) -> dict[str, Any]:
    summary = await stack.figures(["embedder", "reconcile", "--grace", "0", *arguments])
    assert summary["ok"]
    return summary


def _sent(summary: dict[str, Any]) -> int:
    return sum(summary["mended"][kind] for kind in _EVENTS)


async def _found(stack: Stack, query: str, names: set[str], *, within: float = 60.0) -> None:
    """Wait until a search finds exactly these documents.

    Raises:
        AssertionError: it does not.
    """
    deadline = time.monotonic() + within
    while True:
        hits = await stack.client.found(query, top_k=50)
        if {hit["external_id"] for hit in hits} == names:
            return
        assert time.monotonic() < deadline, hits
        await asyncio.sleep(0.2)


@pytest.fixture
async def idle_stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Give a stack whose worker has made the index, and is stopped."""
    async with Stack(tmp_path) as stack:
        done = await stack.client.accepted("first.txt", b"walnut first")
        assert (await stack.client.ended(done["task_id"]))["status"] == "succeeded"
        await asyncio.to_thread(stack.embedders[0].stop)
        yield stack


async def test_no_accepted_document_is_lost_with_all_of_kafkas_data(idle_stack: Stack) -> None:
    stack = idle_stack
    await stack.client.accepted("second.txt", b"walnut second")
    gone = await stack.client.accepted("gone.txt", b"walnut gone")
    answer = await stack.client.http.delete(f"/rag/documents/{gone['document_id']}?cabinet_id=1")
    assert answer.status_code == 202, answer.text
    await stack.broker.stop()
    await asyncio.to_thread(shutil.rmtree, stack.broker.folder / "data")
    await stack.broker.start()
    await stack.run(["kartoteka_runtime.topics_cli", "provision"])
    dry = await _reconcile(stack, "--dry-run")
    assert _sent(dry) == 0
    assert dry["not_done"]["document_submitted"] == 1
    summary = await _reconcile(stack)
    assert summary["mended"]["document_submitted"] == 1
    assert summary["mended"]["document_deletion_requested"] == 1
    assert _sent(await _reconcile(stack)) == 0  # they wait
    await stack.start_embedder(0)
    await _found(stack, "walnut", {"first.txt", "second.txt"})
    assert _sent(await _reconcile(stack)) == 0  # they are done


async def test_no_accepted_document_is_lost_with_the_newest_events(idle_stack: Stack) -> None:
    stack = idle_stack
    tasks = [await stack.client.accepted(f"lost-{n}.txt", f"walnut {n}".encode()) for n in range(8)]
    assert _sent(await _reconcile(stack)) == 0  # their events wait
    await _remove_events(stack)
    assert _sent(await _reconcile(stack)) == len(tasks)
    assert _sent(await _reconcile(stack)) == 0
    sent = {
        dict(record.headers)["event_id"]
        for record in await read_all(stack.broker.bootstrap_servers, "documents.bulk")
    }
    assert len(sent) == len(tasks)
    await stack.start_embedder(0)
    for task in tasks:
        assert (await stack.client.ended(task["task_id"]))["status"] == "succeeded"
    await _found(stack, "walnut", {"first.txt", *(f"lost-{n}.txt" for n in range(8))})


async def test_a_record_whose_event_was_never_sent_is_sent_once(idle_stack: Stack) -> None:
    stack = idle_stack
    record = await _write_record(stack, "unsent.txt", b"walnut unsent")
    waiting = await stack.client.accepted("waits.txt", b"walnut waits")
    # The default grace: it may be on its way. Then: it is behind an event that is older, or not.
    early = await stack.figures(["embedder", "reconcile"])
    assert _sent(early) == 0
    assert early["left"]["young"] == 2
    assert (await _reconcile(stack))["mended"]["document_submitted"] == 1
    assert (await _reconcile(stack))["mended"]["document_submitted"] == 0
    await stack.start_embedder(0)
    assert (await stack.client.ended(waiting["task_id"]))["status"] == "succeeded"
    assert (await stack.client.ended(record.task_id))["status"] == "succeeded"
    await _found(stack, "walnut", {"first.txt", "unsent.txt", "waits.txt"})


async def test_beside_live_work_only_orphans_are_removed(tmp_path: Path) -> None:
    async with Stack(tmp_path, embedders=2) as stack:
        first = await stack.client.accepted("first.txt", b"walnut first")
        await stack.client.ended(first["task_id"])
        await _plant(stack, first["document_id"], chunks=7)
        tasks: list[dict[str, Any]] = []

        async def upload() -> None:
            for n in range(24):
                body = f"walnut {n // 2} " + "and some more words. " * 400
                tasks.append(await stack.client.accepted(f"live-{n // 2}.txt", body.encode()))

        summaries: list[dict[str, Any]] = []
        work = asyncio.create_task(upload())
        while not work.done() or len(summaries) < 3:
            summaries.append(await _reconcile(stack, "--orphan-age", "0"))
        await work
        ends = [await stack.client.ended(task["task_id"]) for task in tasks]
        assert {end["status"] for end in ends} <= {"succeeded", "superseded", "unchanged"}
        await _found(stack, "walnut", {"first.txt", *(f"live-{n}.txt" for n in range(12))})
        last = await _reconcile(stack, "--orphan-age", "0")
        summaries.append(last)
        # An overtaken try's chunks may be there for a moment, until it removes them itself.
        assert summaries[0]["mended"]["orphan_chunks"] >= 7
        assert last["mended"]["orphan_chunks"] == 0
        model = await discover(_qdrant(stack), "hash")
        index = Upkeep.open(_qdrant(stack), model)
        cabinet = grant(CabinetId(1))
        page = await index.documents(cabinet, limit=100)
        for manifest in page.manifests:
            published = manifest.published
            assert published is not None
            work_of = (manifest.document_id, published.version, published.epoch)
            assert await index.count(cabinet, *work_of) == published.chunks
        assert len(page.manifests) == 13
        await index.close()


async def test_without_kafka_it_says_so_and_fails(tmp_path: Path) -> None:
    async with Stack(tmp_path) as stack:
        await stack.broker.stop()
        with pytest.raises(RuntimeError, match=r'(?s)ended with 1.*Kafka at .*"ok": false'):
            await stack.run(["embedder", "reconcile"])


def _qdrant(stack: Stack) -> QdrantSettings:
    return QdrantSettings(url=stack.qdrant_url)


def _objects(stack: Stack) -> ObjectStore:
    return ObjectStore.open(ObjectStoreSettings(url=f"file://{stack.folder / 'objects'}"))


async def _write_record(stack: Stack, name: str, body: bytes) -> DocumentRecord:
    """Do what ingest-api does, up to the moment before the event."""
    version = int(time.time() * 1_000_000)
    record = builders.record(cabinet=1, external_id=name, version=version, body=body)
    objects = _objects(stack)
    await objects.create(record.body_key, body)
    key = record_key(record.cabinet_id, record.document_id, record.version)
    assert await objects.create(key, encode_record(record))
    return record


async def _plant(stack: Stack, document: str, *, chunks: int) -> None:
    """Write what a try leaves behind that died before it decided."""
    model = await discover(_qdrant(stack), "hash")
    index = Upkeep.open(_qdrant(stack), model)
    vector = np.full(model.dimension, model.dimension**-0.5, dtype=np.float32)
    points = [
        ChunkPoint(
            document_id=DocumentId(document),
            version=Version(1_000),
            epoch=Epoch(0),
            n=n,
            vector=vector,
            text="walnut orphan",
            page=None,
            start=0,
            end=1,
            external_id="orphan",
            filename="orphan",
        )
        for n in range(chunks)
    ]
    await index.upsert(grant(CabinetId(1)), points)
    await index.close()


async def _remove_events(stack: Stack) -> None:
    """Remove every event of the job topics, as a loss of the newest segments does."""
    servers = stack.broker.bootstrap_servers
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await consumer.start()
    await admin.start()
    try:
        places = [
            TopicPartition(entry["topic"], partition["partition"])
            for entry in await admin.describe_topics(list(JOB_TOPICS))
            for partition in entry["partitions"]
        ]
        ends = await consumer.end_offsets(places)
        await admin.delete_records(
            {place: RecordsToDelete(before_offset=end) for place, end in ends.items()}
        )
    finally:
        await consumer.stop()
        await admin.close()
