"""A try that goes on after another worker has decided: it never wins, and leaves nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from indexing_scenes import Case, Scene, opened, published
from indexing_world import Countdown, Crash, World

from embedder.domain.outcome import Cancelled, Deleted, Failed, Indexed, Superseded, Unchanged
from kartoteka_contracts.keys import cancel_key
from kartoteka_index.manifest import Outcome
from kartoteka_testkit import builders


async def index_against_delete(world: World) -> Case:
    job = await world.accept("one\ntwo", version=1)
    others = [await world.accept_delete(version=2)]
    return Case(job=job, ends=(Superseded, Indexed), finds={Outcome.DELETED: []}, others=others)


async def rewrite_against_delete(world: World) -> Case:
    await published(world, "one\ntwo")
    job = await world.accept("one\ntwo", version=2, metadata={"a": 1})
    return Case(
        job=job,
        ends=(Superseded, Indexed),
        finds={Outcome.DELETED: []},
        others=[await world.accept_delete(version=3)],
    )


async def rewrite_against_an_older_delete(world: World) -> Case:
    await published(world, "one\ntwo")
    older = await world.accept_delete(version=2)
    job = await world.accept("one\ntwo", version=3, metadata={"a": 1})
    return Case(job=job, ends=Indexed, finds={Outcome.PUBLISHED: ["one", "two"]}, others=[older])


async def unchanged_against_an_older_delete(world: World) -> Case:
    await published(world, "one\ntwo")
    older = await world.accept_delete(version=2)
    job = await world.accept("one\ntwo", version=3)
    return Case(
        job=job,
        ends=(Unchanged, Indexed),
        finds={Outcome.UNCHANGED: ["one", "two"], Outcome.PUBLISHED: ["one", "two"]},
        others=[older],
    )


async def failure_against_an_older_delete(world: World) -> Case:
    await published(world, "one\ntwo")
    older = await world.accept_delete(version=2)
    job = await world.accept("!encrypted", version=3)
    return Case(job=job, ends=Failed, finds={Outcome.FAILED: []}, others=[older])


async def delete_against_a_newer_failure(world: World) -> Case:
    await published(world, "one\ntwo")
    job = await world.accept_delete(version=2)
    newer = await world.accept("!encrypted", version=3)
    return Case(job=job, ends=(Deleted, Superseded), finds={Outcome.FAILED: []}, others=[newer])


async def delete_against_a_newer_cancellation(world: World) -> Case:
    await published(world, "one\ntwo")
    job = await world.accept_delete(version=2)
    newer = await world.accept("new", version=3)
    others = [await world.accept_cancel(newer), newer]
    return Case(job=job, ends=(Deleted, Superseded), finds={Outcome.CANCELLED: []}, others=others)


async def delete_against_the_same_bytes_anew(world: World) -> Case:
    await published(world, "one\ntwo")
    job = await world.accept_delete(version=2)
    again = await world.accept("one\ntwo", version=3)
    broken = await world.accept("!encrypted", version=4)
    return Case(
        job=job,
        ends=(Deleted, Superseded),
        finds={Outcome.FAILED: ["one", "two"]},
        others=[again, broken],
    )


async def delete_against_a_newer_version(world: World) -> Case:
    await published(world, "one\ntwo")
    job = await world.accept_delete(version=2)
    newer = await world.accept("new", version=3)
    return Case(
        job=job, ends=(Deleted, Superseded), finds={Outcome.PUBLISHED: ["new"]}, others=[newer]
    )


async def replay_of_an_older_version_against_delete(world: World) -> Case:
    job = await world.accept("one\ntwo", version=1)
    event = job.submission.model_copy(update={"epoch": 1_795_000_000_000_000})
    others = [await world.accept_delete(version=2), job]
    return Case(
        job=replace(job, event=event),
        ends=(Superseded, Indexed),
        finds={Outcome.DELETED: []},
        others=others,
    )


async def index_against_cancel(world: World) -> Case:
    await published(world)
    job = await world.accept("new", version=2)
    mark = await world.accept_cancel(job)
    event = job.submission
    await world.objects.delete(
        [cancel_key(event.cabinet_id, event.document_id, event.version, event.task_id)]
    )
    return Case(
        job=job,
        ends=(Cancelled, Indexed),
        finds={Outcome.CANCELLED: ["old"], Outcome.PUBLISHED: ["new"]},
        others=[mark],
    )


async def twin_against_a_newer_version_of_the_same_bytes(world: World) -> Case:
    job = await world.accept("one\ntwo", version=1)
    same = await world.accept("one\ntwo", version=2)
    return Case(
        job=job,
        ends=(Superseded, Indexed),
        finds={Outcome.UNCHANGED: ["one", "two"]},
        others=[job, same],
    )


async def twin_against_a_newer_failure(world: World) -> Case:
    job = await world.accept("one\ntwo", version=1)
    broken = await world.accept("!encrypted", version=2)
    return Case(
        job=job,
        ends=(Superseded, Indexed),
        finds={Outcome.FAILED: ["one", "two"]},
        others=[job, broken],
    )


async def cabinet_delete_against_a_newer_version(world: World) -> Case:
    old = await published(world, "one\ntwo")
    newer = await world.accept("new", version=9)
    event = builders.cabinet_deletion(version=5)
    return Case(
        job=replace(old, event=event),
        ends=Deleted,
        finds={Outcome.PUBLISHED: ["new"]},
        others=[newer],
    )


async def cabinet_delete_against_a_newer_failure(world: World) -> Case:
    old = await published(world, "one\ntwo")
    newer = await world.accept("!encrypted", version=9)
    event = builders.cabinet_deletion(version=5)
    return Case(
        job=replace(old, event=event), ends=Deleted, finds={Outcome.FAILED: []}, others=[newer]
    )


async def cabinet_delete_against_an_older_version(world: World) -> Case:
    late = await world.accept("late", version=4, external_id="late")
    event = builders.cabinet_deletion(version=5)
    return Case(
        job=replace(late, event=event), ends=Deleted, finds={Outcome.DELETED: []}, others=[late]
    )


SCENES: list[Scene] = [
    index_against_delete,
    index_against_cancel,
    rewrite_against_delete,
    rewrite_against_an_older_delete,
    unchanged_against_an_older_delete,
    failure_against_an_older_delete,
    replay_of_an_older_version_against_delete,
    twin_against_a_newer_version_of_the_same_bytes,
    twin_against_a_newer_failure,
    delete_against_a_newer_version,
    delete_against_a_newer_failure,
    delete_against_a_newer_cancellation,
    delete_against_the_same_bytes_anew,
    cabinet_delete_against_a_newer_version,
    cabinet_delete_against_a_newer_failure,
    cabinet_delete_against_an_older_version,
]


@pytest.mark.parametrize("dies", [False, True], ids=["goes on", "crashes"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_a_try_that_sleeps_at_any_call_while_others_decide_wins_nothing(
    scene: Scene,
    dies: bool,  # noqa: FBT001 - a case
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Do all of the other work before and after every call of every port."""
    ticks = 0
    while True:
        ticks += 1
        world = await opened(tmp_path_factory.mktemp("world"))
        case = await scene(world)
        countdown = Countdown(left=ticks, happen=_meanwhile(world, case, dies=dies))
        try:
            ended: Any = await world.settle(case.job, countdown.around)
            assert isinstance(ended, case.ends), countdown.happened_at
            await world.assert_whole()
        except Crash:
            pass
        place = countdown.happened_at
        if place is None:
            break
        await _assert_final(world, case, place)
        await world.index.close()
    assert ticks > 4


def _meanwhile(world: World, case: Case, *, dies: bool) -> Callable[[], Awaitable[None]]:
    async def happen() -> None:
        for other in case.others:
            await world.settle(other)
        if dies:
            raise Crash

    return happen


async def _assert_final(world: World, case: Case, place: str) -> None:
    """Deliver everything again, twice, and look at what stands."""
    await world.settle(case.job)
    await world.assert_whole()
    for _ in range(2):
        for each in (*case.others, case.job):
            await world.settle(each)
    manifest = await world.manifest(case.others[-1])
    assert manifest.outcome in case.finds, place
    assert await world.texts() == case.finds[manifest.outcome], place
    await world.assert_whole()
