"""``rebuild`` on the real stack: Qdrant, Kafka and the view are lost, and the answers are not."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings
from kartoteka_contracts.codec import decode, encode
from kartoteka_contracts.events import DocumentSubmitted, TaskStatusChanged
from kartoteka_contracts.ids import CabinetId, Version
from kartoteka_contracts.keys import cabinet_settings_key
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_testkit.kafka_topics import read_all
from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_CABINETS: Final = (1, 2, 30)
_TREES: Final = ("walnut", "maple", "linden", "rowan", "alder", "hazel")
_QUERIES: Final = (
    "the height of walnut number 7",
    "a second maple in the harbour, and its height",
    "linden rowan number",
    "which height do we know?",
)
_BROKEN: Final = b"%PDF-1.7\nno page of it can be read"


async def _rebuild(stack: Stack, *arguments: str) -> dict[str, Any]:
    summary = await stack.figures(["embedder", "rebuild", *arguments])
    assert summary["ok"]
    return summary


async def _end(stack: Stack, accepted: dict[str, Any], status: str) -> None:
    ended = await stack.client.ended(accepted["task_id"])
    assert ended["status"] == status, ended


async def _fill(stack: Stack, cabinet: int) -> None:
    """Upload a document for each tree, new versions of some, and one that is as before."""
    client = stack.client
    tasks = []
    for n, tree in enumerate(_TREES):
        text = f"The {tree} of cabinet {cabinet} stands by the harbour. " * (3 + n)
        text += "".join(
            f"\n\nOf {tree} number {k} we know its height: {k * 7 + n}." for k in range(60)
        )
        answer = await client.upload(
            f"{tree}.txt", text.encode(), cabinet=cabinet, metadata=json.dumps({"row": n})
        )
        assert answer.status_code == 202, answer.text
        tasks.append(answer.json())
    for task in tasks:
        await _end(stack, task, "succeeded")
    newer = await client.accepted(
        "maple.txt", f"A second maple of cabinet {cabinet} replaced it.".encode(), cabinet=cabinet
    )
    await _end(stack, newer, "succeeded")
    again = await client.accepted(
        "maple.txt", f"A second maple of cabinet {cabinet} replaced it.".encode(), cabinet=cabinet
    )
    await _end(stack, again, "unchanged")


async def _fail_newest(stack: Stack, cabinet: int) -> None:
    """Let the newest version of two documents fail, over what is published."""
    for name in ("rowan.txt", "alder.txt", "alder.txt"):
        failed = await stack.client.accepted(name, _BROKEN, cabinet=cabinet)
        await _end(stack, failed, "failed")


async def _delete(stack: Stack, cabinet: int, name: str) -> dict[str, Any]:
    page = await stack.client.http.get(f"/rag/cabinets/{cabinet}/documents")
    document = next(one for one in page.json()["documents"] if one["external_id"] == name)
    answer = await stack.client.http.delete(
        f"/rag/documents/{document['document_id']}?cabinet_id={cabinet}"
    )
    assert answer.status_code == 202, answer.text
    await _end(stack, answer.json(), "succeeded")
    found: dict[str, Any] = document
    return found


async def _cancel_newest(stack: Stack, cabinet: int) -> None:
    """Take back a new version of a document, and a document that has no other version."""
    await asyncio.to_thread(stack.embedders[0].stop)
    tasks = [
        await stack.client.accepted(name, b"walnut taken back", cabinet=cabinet)
        for name in ("linden.txt", "never.txt")
    ]
    for task in tasks:
        answer = await stack.client.http.delete(f"/rag/task/{task['task_id']}")
        assert answer.status_code == 202, answer.text
    await stack.start_embedder(0)
    for task in tasks:
        await _end(stack, task, "cancelled")


async def _configure(stack: Stack, cabinet: int) -> CabinetConfigured:
    """Leave settings as the API does."""
    now = SystemClock().now()
    event = CabinetConfigured(
        cabinet_id=CabinetId(cabinet),
        version=Version(int(now.timestamp() * 1_000_000)),
        settings=CabinetSettings(name="Harbour"),
        created_at=now,
        at=now,
    )
    objects = ObjectStore.open(ObjectStoreSettings(url=f"file://{stack.folder / 'objects'}"))
    key = cabinet_settings_key(event.cabinet_id, event.version)
    assert await objects.create(key, encode(event))
    return event


async def _answers(stack: Stack) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """Return the exact ten best of each query in each cabinet."""
    found = {}
    for cabinet in _CABINETS:
        for query in _QUERIES:
            hits = await stack.client.found(query, cabinet=cabinet, top_k=10)
            found[cabinet, query] = [
                {
                    name: hit[name]
                    for name in ("document_id", "external_id", "text", "score", "metadata")
                }
                for hit in hits
            ]
    return found


async def _documents(stack: Stack) -> dict[int, dict[str, Any]]:
    """Return what each document is, by its name: all but times, and which version stands."""
    found = {}
    for cabinet in _CABINETS:
        page = await stack.client.http.get(
            f"/rag/cabinets/{cabinet}/documents", params={"limit": 100}
        )
        assert page.status_code == 200, page.text
        found[cabinet] = {
            one["external_id"]: (
                one["state"],
                one["version"],
                one["error"] and one["error"]["code"],
                one["published"] and one["published"]["sha256"],
                one["open_task"],
            )
            for one in page.json()["documents"]
        }
    return found


async def _lose_everything(stack: Stack) -> None:
    """Stop all, remove what Qdrant, Kafka and the view hold, and start all."""
    for service in (*stack.apis, *stack.embedders, stack.qdrant):
        await asyncio.to_thread(service.stop)
    await stack.broker.stop()
    await asyncio.to_thread(shutil.rmtree, stack.broker.folder / "data")
    await asyncio.to_thread(shutil.rmtree, stack.folder / "qdrant")
    for view in stack.folder.glob("view-*.sqlite"):
        await asyncio.to_thread(shutil.rmtree, view)
    stack.qdrant.start()
    await stack.broker.start()
    await stack.run(["kartoteka_runtime.topics_cli", "provision"])
    for service in (*stack.apis, *stack.embedders):
        service.start()
    await stack.all_ready()


async def _old_events(stack: Stack, document_id: str) -> list[ConsumerRecord]:
    records = await read_all(stack.broker.bootstrap_servers, "documents.interactive")
    return [
        record
        for record in records
        if isinstance(event := decode(record.value), DocumentSubmitted)
        and event.document_id == document_id
    ]


async def _told(stack: Stack, task_id: str) -> str:
    """Return the end of a task as the worker tells it; a view forgets those of deleted documents.

    Raises:
        TimeoutError: it does not end.
    """
    async with asyncio.timeout(60):
        while True:
            for record in await read_all(stack.broker.bootstrap_servers, "task.status"):
                event = decode(record.value)
                if isinstance(event, TaskStatusChanged) and event.task_id == task_id:
                    return str(event.status)
            await asyncio.sleep(0.2)


async def test_exact_answers_survive_the_loss_of_all_but_object_storage(tmp_path: Path) -> None:
    async with Stack(tmp_path) as stack:
        for cabinet in _CABINETS:
            await _fill(stack, cabinet)
        await _fail_newest(stack, 1)
        await _cancel_newest(stack, 2)
        gone = await _delete(stack, 30, "hazel.txt")
        settings = await _configure(stack, 2)
        late = await _old_events(stack, gone["document_id"])
        assert len(late) == 1
        before, states = await _answers(stack), await _documents(stack)
        assert all(len(hits) == 10 for hits in before.values())
        assert all(hit["score"] > 0 for hits in before.values() for hit in hits)

        await _lose_everything(stack)
        assert await stack.client.found("walnut") == []
        dry = await _rebuild(stack, "--dry-run")
        assert (dry["todo"], dry["done"]) == (19, 0)
        assert (await _rebuild(stack, "--cabinet", "30", "--window", "2"))["done"] == 6
        summary = await _rebuild(stack)
        assert (summary["documents"], summary["todo"], summary["done"]) == (19, 13, 13)
        assert summary["outcomes"]["failed"] == 2
        assert summary["outcomes"]["cancelled"] == 2

        assert await _answers(stack) == before
        assert await _documents(stack) == states
        configured = [
            decode(record.value)
            for record in await read_all(stack.broker.bootstrap_servers, "cabinets")
        ]
        assert settings in configured

        # Deleted stays deleted, whatever comes late.
        async with AIOKafkaProducer(bootstrap_servers=stack.broker.bootstrap_servers) as producer:
            await producer.send_and_wait(
                "documents.interactive", late[0].value, key=late[0].key, headers=[*late[0].headers]
            )
        assert await _told(stack, json.loads(late[0].value)["task_id"]) == "superseded"
        assert await _answers(stack) == before

        # And where all is decided, nothing is sent.
        idle = await _rebuild(stack)
        assert (idle["todo"], idle["done"]) == (0, 0)
        assert idle["sent"]["document_submitted"] == 0
