"""Marks of cancelled tasks stay exactly as long as anything can ask whether one was cancelled."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from indexing_world import delivered
from reconcile_world import ReconcileWorld

from embedder.domain.job import Job
from embedder.usecases.reconcile_report import Mend
from kartoteka_contracts.ids import Epoch, replay_task_id
from kartoteka_contracts.keys import cancel_key


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReconcileWorld]:
    world = ReconcileWorld(tmp_path)
    await world.index.ensure()
    yield world
    await world.index.close()


async def _lies(world: ReconcileWorld, key: str) -> bool:
    return await world.objects.exists(key)


async def test_marks_of_decided_works_go_and_others_stay(world: ReconcileWorld) -> None:
    job = await world.upload("one")
    await world.cancel(job)
    await world.run(job)
    event = job.submission
    replay = event.model_copy(
        update={
            "epoch": Epoch(event.version + 1),
            "task_id": replay_task_id(event.task_id, 1),
        }
    )
    pending = await world.cancel(delivered(replay))
    await world.reconcile()
    assert await _lies(world, _mark(job))  # what is made anew from records needs to know
    await world.run(await world.upload("of the next version"))
    newer = await world.upload("two")
    world.topics.put(newer)
    waiting = await world.cancel(newer)
    report = await world.reconcile()
    assert report.mended == {Mend.CANCEL_MARKS: 2}
    assert [await _lies(world, key) for key in (_mark(job), pending, waiting)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("text", ["!encrypted", "published"])
async def test_a_cancelled_version_is_known_while_it_lies_above_what_is_published(
    world: ReconcileWorld, text: str
) -> None:
    await world.run(await world.upload("first"))
    job = await world.upload("taken back")
    await world.cancel(job)
    await world.run(job)
    await world.run(await world.upload(text))
    await world.reconcile()
    assert await _lies(world, _mark(job)) is (text == "!encrypted")


async def test_the_mark_of_a_cancellation_that_came_too_late_goes(world: ReconcileWorld) -> None:
    job = await world.upload("one")
    await world.run(job)
    await world.cancel(job)
    await world.reconcile()
    assert not await _lies(world, _mark(job))


def _mark(job: Job) -> str:
    event = job.submission
    return cancel_key(event.cabinet_id, event.document_id, event.version, event.task_id)
