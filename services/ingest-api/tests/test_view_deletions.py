"""What was deleted leaves the view, and no record brings it back, in whatever order they come."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from reading_world import Record, World, reading_world

from ingest_api.adapters.letter_catalogue import SqliteLetters
from ingest_api.adapters.log_records import BatchBuilder
from ingest_api.domain.log_batch import Partition
from ingest_api.letter_ports import LetterQuery
from kartoteka_contracts.codec import encode
from kartoteka_contracts.dead_letter import DeadLetter
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import TaskId
from kartoteka_contracts.tasks import Stage, TaskStatus
from kartoteka_contracts.wire import Event
from kartoteka_testkit.builders import (
    cabinet_deletion,
    cancellation,
    deletion,
    deletion_ended,
    progressed,
    status_changed,
    submitted,
)
from kartoteka_testkit.frozen_clock import FrozenClock

JOBS = "documents.interactive"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with reading_world(tmp_path) as served:
        yield served


def dead(event: DocumentSubmitted, offset: int, *, is_readable: bool = True) -> Record:
    """A dead letter of an upload's work."""
    letter = DeadLetter(
        reason="malformed",
        message="no",
        stage="parsing",
        attempts=1,
        first_failed_at_ms=1,
        origin_topic=JOBS,
        origin_partition=0,
        origin_offset=offset,
        task_id=event.task_id,
    )
    return Record(
        "documents.dlq",
        encode(event) if is_readable else b"?",
        offset=offset,
        key=event.key.encode(),
        headers=tuple(letter.to_headers()),
    )


async def apply(world: World, *records: Record) -> None:
    builder = BatchBuilder()
    for record in records:
        builder.add(record)
    assert not builder.unreadable
    await world.catalogue.apply(builder.batch({Partition("any", 0): len(records)}))


async def letters(world: World) -> set[str]:
    """The tasks whose letters the view has."""
    query = LetterQuery(cabinets=None, limit=100, is_resolved=None)
    return {one.letter.task_id for one in await SqliteLetters(world.catalogue).letters(query)}


async def known(world: World, *tasks: TaskId) -> list[bool]:
    return [(await world.get(f"/rag/task/{task}")).status_code == 200 for task in tasks]


def as_records(*events: tuple[str, Event]) -> list[Record]:
    return [Record(topic, encode(event)) for topic, event in events]


async def test_older_tasks_leave_with_the_document_and_the_delete_stays(world: World) -> None:
    old, failed = submitted(version=1000), submitted(version=1500)
    newer = submitted(version=3000)
    gone, earlier = deletion(version=2000), deletion(version=500)
    foreign = submitted(cabinet=8, version=1000)
    other = submitted(external_id="other.pdf", version=1000)
    everything = (old, failed, newer, gone, earlier, foreign, other)
    await world.apply(JOBS, *everything)
    await apply(world, dead(failed, 1), dead(newer, 2), dead(other, 3))
    failing = status_changed(failed, TaskStatus.FAILED)
    await world.apply("task.status", failing, deletion_ended(earlier, TaskStatus.SUPERSEDED))
    assert await known(world, *(event.task_id for event in everything)) == [True] * 7
    await world.apply("task.status", deletion_ended(gone))
    assert await known(world, old.task_id, failed.task_id) == [False, False]
    kept = (newer, gone, earlier, foreign, other)
    assert await known(world, *(event.task_id for event in kept)) == [True] * 5
    assert await letters(world) == {newer.task_id, other.task_id}


async def test_a_cabinets_delete_takes_what_every_document_had(world: World) -> None:
    old = [submitted(external_id=f"{n}", version=1000 + n) for n in range(3)]
    newer, foreign = submitted(version=3000), submitted(cabinet=8, version=1000)
    gone = cabinet_deletion(version=2000)
    await world.apply(JOBS, *old, newer, foreign, gone)
    await apply(world, *(dead(event, n) for n, event in enumerate((*old, newer, foreign))))
    await world.apply("task.status", deletion_ended(gone))
    assert await known(world, *(event.task_id for event in old)) == [False] * 3
    kept = (newer, gone, foreign)
    assert await known(world, *(event.task_id for event in kept)) == [True] * 3
    assert await letters(world) == {newer.task_id, foreign.task_id}
    await world.apply(JOBS, *old)
    assert await known(world, *(event.task_id for event in old)) == [False] * 3


@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.SUPERSEDED, TaskStatus.CANCELLED])
async def test_a_delete_that_came_to_nothing_takes_nothing(
    world: World, status: TaskStatus
) -> None:
    old, gone = submitted(version=1000), deletion(version=2000)
    await world.apply(JOBS, old, gone)
    await world.apply("task.status", deletion_ended(gone, status))
    assert await known(world, old.task_id) == [True]


async def test_another_cabinets_delete_takes_nothing_though_it_names_the_document(
    world: World,
) -> None:
    old = submitted(version=1000)
    await world.apply(JOBS, old)
    forged = deletion(cabinet=8, version=2000).model_copy(update={"document_id": old.document_id})
    await world.apply("task.status", deletion_ended(forged))
    assert await known(world, old.task_id) == [True]


@pytest.mark.parametrize("is_whole", [False, True], ids=["document", "cabinet"])
@pytest.mark.parametrize("seed", range(8))
async def test_records_in_any_order_and_number_bring_nothing_back(
    world: World, seed: int, *, is_whole: bool
) -> None:
    rng = random.Random(seed)
    old, retried = submitted(version=1000), submitted(version=1100)
    newer = submitted(version=3000)
    gone = cabinet_deletion(version=2000) if is_whole else deletion(version=2000)
    records = as_records(
        (JOBS, old),
        (JOBS, retried),
        (JOBS, newer),
        (JOBS, gone),
        ("task.progress", progressed(old, Stage.PARSING)),
        ("task.progress", progressed(retried, Stage.WRITING)),
        ("task.progress", progressed(newer, Stage.WRITING)),
        ("task.status", status_changed(old, TaskStatus.SUCCEEDED)),
        ("task.status", status_changed(retried, TaskStatus.RETRYING, attempt=1)),
        ("task.status", status_changed(retried, TaskStatus.SUPERSEDED, attempt=1)),
        ("task.status", status_changed(newer, TaskStatus.SUCCEEDED)),
        ("task.status", deletion_ended(gone)),
    )
    records += [dead(old, 1), dead(retried, 2, is_readable=False), dead(newer, 3)]
    sent = records * 2
    rng.shuffle(sent)
    for batch in chunked(sent, rng):
        await apply(world, *batch)
    assert await known(world, old.task_id, retried.task_id) == [False, False]
    assert await known(world, newer.task_id, gone.task_id) == [True, True]
    assert await letters(world) == {newer.task_id}
    listed = (await world.get("/rag/tasks", cabinet=7)).json()["tasks"]
    assert {task["task_id"] for task in listed} == {newer.task_id, gone.task_id}
    assert [task.task_id for task in await world.catalogue.to_repair(10)] == []


def chunked(records: Sequence[Record], rng: random.Random) -> list[list[Record]]:
    cuts = sorted({0, len(records), *(rng.randrange(len(records)) for _ in range(4))})
    return [list(records[a:b]) for a, b in itertools.pairwise(cuts)]


async def test_late_progress_brings_no_task_back(world: World) -> None:
    old, gone = submitted(version=1000), deletion(version=2000)
    await world.apply(JOBS, old, gone)
    await world.apply("task.status", deletion_ended(gone))
    await world.apply("task.progress", progressed(old, Stage.WRITING))
    assert await world.catalogue.task(old.task_id) is None
    assert await world.catalogue.is_forgotten(old.task_id)


async def test_a_stream_of_a_task_ends_when_its_document_is_deleted(world: World) -> None:
    old, gone = submitted(version=1000), deletion(version=2000)
    await world.apply(JOBS, old, gone)
    following = asyncio.create_task(world.get(f"/rag/task/{old.task_id}/events"))
    await asyncio.sleep(0.15)
    await world.apply("task.status", deletion_ended(gone))
    stream = (await following).text
    assert stream.count("data: ") == 1
    assert stream.count("\n:\n\n") < 20, "it would go on for two seconds, with 40 of them"


async def test_what_was_deleted_is_remembered_for_longer_than_any_record_lives(
    world: World,
) -> None:
    old, gone = submitted(version=1000), deletion(version=2000)
    await world.apply("task.status", deletion_ended(gone))
    await world.apply(JOBS, old)
    clock = world.catalogue._clock
    assert isinstance(clock, FrozenClock)
    clock.advance(44 * 86400)
    await world.catalogue.purge()
    await apply(world, dead(old, 1))
    assert await letters(world) == set()
    clock.advance(2 * 86400)
    await world.catalogue.purge()
    left = await world.catalogue.read(
        "SELECT count(*) FROM deletions UNION ALL SELECT count(*) FROM forgotten"
    )
    assert left == [(0,), (0,)]


async def test_a_cancellation_is_no_task_and_no_unreadable_record(world: World) -> None:
    event = submitted()
    await world.apply(JOBS, event)
    before = await world.catalogue.task(event.task_id)
    await world.apply(JOBS, cancellation(event))
    assert await world.catalogue.task(event.task_id) == before
