"""Deletes take all that is theirs, say how much it was, and are undone by nothing older."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from indexing_world import CABINET, World, delivered

from embedder.domain.job import Job, Lease
from embedder.domain.outcome import (
    Cancelled,
    Deleted,
    EndedElsewhere,
    Failed,
    Indexed,
    Outcome,
    Superseded,
)
from kartoteka_contracts.events import DeletedCounts
from kartoteka_contracts.ids import child_task_id
from kartoteka_contracts.keys import record_key
from kartoteka_contracts.records import DeletionRecord, read_record
from kartoteka_contracts.tasks import DocumentState
from kartoteka_index.manifest import Outcome as Decided
from kartoteka_testkit import builders


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.index.ensure()
    yield made
    await made.index.close()


def _counts(outcome: Outcome) -> tuple[int, int, int]:
    assert isinstance(outcome, Deleted)
    counts = outcome.result.deleted
    assert isinstance(counts, DeletedCounts)
    return counts.documents, counts.chunks, counts.bodies


def _replayed(job: Job) -> Job:
    event = job.submission
    again = event.model_copy(update={"epoch": 1_795_000_000_000_000, "replay_of": event.task_id})
    return replace(job, event=again)


async def test_a_delete_takes_points_and_bodies_and_counts_them(world: World) -> None:
    await world.run(await world.accept("one\ntwo\nthree", version=1))
    await world.accept("never run", version=2)
    other = await world.accept("other", version=1, external_id="other")
    await world.run(other)
    delete = await world.accept_delete(version=3)
    assert _counts(await world.run(delete)) == (1, 3, 2)
    assert await world.texts() == ["other"]
    assert await world.objects.keys("cabinets/7/bodies/") == [other.submission.body_key]
    assert (await world.manifest(delete)).state is DocumentState.DELETED
    assert _counts(await world.run(delete)) == (1, 0, 0)


async def test_nothing_older_resurrects_what_was_deleted(world: World) -> None:
    job = await world.accept("one", version=1)
    await world.run(job)
    await world.run(await world.accept_delete(version=2))
    for older in (job, _replayed(job)):
        for _ in range(2):
            assert isinstance(await world.settle(older), Superseded)
            await world.assert_whole()
            assert await world.texts() == []


async def test_a_newer_upload_after_a_delete_is_found(world: World) -> None:
    await world.run(await world.accept("one", version=1))
    await world.run(await world.accept_delete(version=2))
    assert isinstance(await world.run(await world.accept("one", version=3)), Indexed)
    assert await world.texts() == ["one"]


async def test_a_replayed_delete_deletes_what_the_first_one_left(world: World) -> None:
    await world.run(await world.accept("one\ntwo", version=1))
    delete = await world.accept_delete(version=2)
    replay = replace(
        delete, event=delete.event.model_copy(update={"epoch": 5, "task_id": "another"})
    )
    assert _counts(await world.run(replay)) == (1, 2, 1)
    assert isinstance(await world.run(delete), Superseded)


async def test_a_delete_that_newer_work_overtakes_here_is_carried_out_all_the_same(
    world: World,
) -> None:
    await world.run(await world.accept("one", version=1))
    delete = await world.accept_delete(version=2)
    broken = await world.accept("!encrypted", version=3)
    assert isinstance(await world.run(broken), Failed)
    assert await world.texts() == ["one"]
    assert isinstance(await world.work().overtaken(delete), Superseded)
    assert await world.texts() == []
    await world.assert_whole()
    assert (await world.manifest(broken)).outcome is Decided.FAILED


async def test_an_upload_that_is_overtaken_has_nothing_to_do(world: World) -> None:
    assert isinstance(
        await world.work().overtaken(await world.accept("one", version=1)), Superseded
    )


async def test_a_cabinets_delete_takes_every_document_up_to_its_floor(world: World) -> None:
    names = ["a", "b", "c"]
    for name in names:
        await world.run(await world.accept("one\ntwo", version=1, external_id=name))
    waiting = await world.accept("waiting", version=2, external_id="waiting")
    newer = await world.accept("newer", version=9, external_id="newer")
    await world.run(newer)
    foreign = builders.record(cabinet=8, version=1)
    await world.objects.create(foreign.body_key, b"text")
    event = builders.cabinet_deletion(version=5)
    job = delivered(event)
    shares: list[float] = []
    outcome = await world.work().run(job, Lease(), lambda _stage, share: shares.append(share))
    assert _counts(outcome) == (4, 6, 4)
    assert shares == sorted(shares)
    assert await world.texts() == ["newer"]
    assert await world.objects.keys("cabinets/7/bodies/") == [newer.submission.body_key]
    assert await world.objects.exists(foreign.body_key)
    assert isinstance(await world.settle(waiting), Superseded)
    document = waiting.submission.document_id
    record = read_record(
        await world.objects.read(record_key(event.cabinet_id, document, event.version))
    )
    assert isinstance(record, DeletionRecord)
    assert (record.task_id, record.external_id, record.replaces) == (
        child_task_id(event.task_id, document),
        "waiting",
        2,
    )
    assert _counts(await world.run(job)) == (4, 0, 0)


async def test_a_cabinets_delete_goes_on_after_a_crash_within_one_document(world: World) -> None:
    job = await world.accept("one\ntwo", version=1)
    await world.run(job)
    event = builders.cabinet_deletion(version=5)
    document = job.submission.document_id
    half = await world.accept_delete(version=5)
    decided = half.event.model_copy(update={"task_id": child_task_id(event.task_id, document)})

    class NoErasure:
        def __init__(self, port: object) -> None:
            self._port = port

        def __getattr__(self, name: str) -> object:
            if name == "erase":
                raise KeyboardInterrupt
            return getattr(self._port, name)

    with pytest.raises(KeyboardInterrupt):
        await world.run(replace(half, event=decided), NoErasure)
    assert await world.stored(job) == 2
    assert _counts(await world.run(delivered(event))) == (1, 2, 1)
    await world.assert_whole()


async def test_an_upload_that_slips_below_the_floor_meanwhile_is_deleted_whole(
    world: World,
) -> None:
    class Slips:
        def __init__(self, port: object) -> None:
            self._port = port

        def __getattr__(self, name: str) -> object:
            target = getattr(self._port, name)
            if name != "erase_cabinet":
                return target

            async def erase_cabinet(*args: object, **options: object) -> object:
                late = await world.accept("late", version=4, external_id="late")
                assert isinstance(await world.run(late), Indexed)
                return await target(*args, **options)

            return erase_cabinet

    event = builders.cabinet_deletion(version=5)
    assert _counts(await world.run(delivered(event), Slips)) == (1, 1, 1)
    assert await world.texts() == []
    await world.assert_whole()


async def test_an_upload_at_exactly_the_floor_stays(world: World) -> None:
    job = await world.accept("one", version=5)
    await world.run(job)
    assert _counts(await world.run(delivered(builders.cabinet_deletion(version=5)))) == (0, 0, 0)
    assert await world.texts() == ["one"]


async def test_a_cancellation_that_comes_first_keeps_its_task_from_running(world: World) -> None:
    await world.run(await world.accept("old", version=1))
    job = await world.accept("new", version=2)
    cancellation = await world.accept_cancel(job)
    assert isinstance(await world.run(cancellation), Cancelled)
    for _ in range(2):
        assert isinstance(await world.run(job), Cancelled)
    assert isinstance(await world.run(cancellation), Cancelled)
    assert await world.texts() == ["old"]
    assert (await world.manifest(job)).state is DocumentState.INDEXED


async def test_a_cancellation_of_a_task_that_ended_changes_nothing(world: World) -> None:
    job = await world.accept("one", version=1)
    cancellation = await world.accept_cancel(job)
    work = world.work()
    await world.objects.delete(await world.objects.keys("cabinets/7/records/"))
    await world.run(job)
    assert isinstance(await world.run(cancellation), EndedElsewhere)
    assert isinstance(await work.cancel(job), Indexed)
    newer = await world.accept("two", version=2)
    await world.run(newer)
    assert isinstance(await world.run(cancellation), EndedElsewhere)
    assert isinstance(await work.cancel(job), Superseded)
    assert await world.texts() == ["two"]


async def test_a_replay_of_a_cancelled_task_is_another_task(world: World) -> None:
    job = await world.accept("one", version=1)
    await world.run(await world.accept_cancel(job))
    event = job.submission.model_copy(
        update={"epoch": 7, "task_id": "0198c0de-0000-7000-8000-00000000000f"}
    )
    assert isinstance(await world.run(replace(job, event=event)), Indexed)
    assert await world.texts() == ["one"]


async def test_what_fails_for_good_says_whether_its_task_ended_with_it(world: World) -> None:
    work = world.work()
    job = await world.accept("one", version=1)
    said = ("unexpected", "m", "writing")
    given_up = await work.give_up(await world.accept_cancel(job), *said)
    assert isinstance(given_up, Failed)
    assert not given_up.ends_task
    given_up = await work.give_up(await world.accept_delete(version=2), *said)
    assert isinstance(given_up, Failed)
    assert given_up.ends_task
    assert await world.index.manifest(CABINET, job.submission.document_id) is None
