"""Reindex runs that nobody drives go on; what ended ones kept goes; settings are told again."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from indexing_world import CABINET
from reconcile_world import DAY, HOUR, ReconcileWorld

from embedder.domain.job import RunEvent
from embedder.usecases.reconcile_report import Left, Mend, Seen
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings
from kartoteka_contracts.codec import decode, encode
from kartoteka_contracts.ids import TaskId, Version, new_task_id
from kartoteka_contracts.keys import cabinet_settings_key, run_page_key, run_plan_key, runs_prefix
from kartoteka_contracts.reindex import (
    ReindexRequested,
    ReindexTrigger,
    RunContinued,
    RunPhase,
    RunResult,
)
from kartoteka_index.run_state import RunState, RunStep

_CABINET = CABINET.cabinet_id


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReconcileWorld]:
    world = ReconcileWorld(tmp_path)
    await world.index.ensure()
    yield world
    await world.index.close()


async def _state(world: ReconcileWorld, phase: RunStep, **fields: Any) -> RunState:
    """Let a run of the cabinet stand like this, as of now."""
    now = world.clock.now()
    request = ReindexRequested(
        task_id=new_task_id(),
        cabinet_id=_CABINET,
        trigger=ReindexTrigger.MANUAL,
        accepted_at=now,
    )
    state = RunState(
        cabinet_id=_CABINET,
        run_id=request.task_id,
        accepted_at=now,
        request=request,
        phase=phase,
        changed_at=now,
        begun_at=None if phase is RunStep.PLANNING else now,
        **fields,
    )
    seen = await world.index.run_state(CABINET)
    assert await world.index.write_run_state(CABINET, state, seen=seen)
    return state


def _sent(world: ReconcileWorld) -> list[Any]:
    return [decode(value) for value in world.log.on("cabinets.reindex")]


async def test_a_run_that_lost_its_request_gets_it_again(world: ReconcileWorld) -> None:
    state = await _state(world, RunStep.PLANNING)
    world.later(HOUR)
    report = await world.reconcile()
    assert _sent(world) == [state.request]
    assert report.mended == {Mend.REINDEX: 1}
    assert report.seen[Seen.RUNS] == 1


@pytest.mark.parametrize("phase", [RunStep.EMITTING, RunStep.WATCHING])
async def test_a_run_that_lost_its_next_step_gets_it(world: ReconcileWorld, phase: RunStep) -> None:
    result = RunResult(success=3, total=1200)
    state = await _state(world, phase, step=4, page=2, waits=1, result=result)
    world.later(HOUR)
    report = await world.reconcile()
    assert state.begun_at is not None
    assert _sent(world) == [
        RunContinued(
            task_id=state.run_id,
            cabinet_id=_CABINET,
            phase=RunPhase(str(phase)),
            step=4,
            page=2,
            waits=1,
            begun_at=state.begun_at,
            result=result,
            accepted_at=state.accepted_at,
        )
    ]
    assert report.mended == {Mend.RUN_STEP: 1}


async def test_a_run_that_has_ended_gets_nothing(world: ReconcileWorld) -> None:
    await _state(world, RunStep.ENDED)
    world.later(HOUR)
    report = await world.reconcile()
    assert _sent(world) == []
    assert report.mended == {}


async def test_a_run_that_has_moved_just_now_is_left_alone(world: ReconcileWorld) -> None:
    await _state(world, RunStep.EMITTING)
    report = await world.reconcile()
    assert _sent(world) == []
    assert +report.left == {Left.YOUNG: 1}


async def test_a_run_whose_event_waits_is_left_alone(world: ReconcileWorld) -> None:
    state = await _state(world, RunStep.WATCHING)
    world.later(HOUR)
    world.topics.waiting_events.append((state.request, world.clock.now()))
    report = await world.reconcile()
    assert _sent(world) == []
    assert +report.left == {Left.WAITING: 1}


async def test_documents_that_wait_do_not_hold_a_run_up(world: ReconcileWorld) -> None:
    await _state(world, RunStep.WATCHING)
    world.topics.put(await world.upload("one"))
    world.later(HOUR)
    await world.reconcile()
    assert len(_sent(world)) == 1


async def test_a_run_that_moves_while_the_topic_is_read_is_left_alone(
    world: ReconcileWorld,
) -> None:
    state = await _state(world, RunStep.EMITTING, step=3)
    world.later(HOUR)
    waiting = world.topics.waiting

    async def moves(keys: Any, **topics: Any) -> frozenset[str]:
        found = await waiting(keys, **topics)
        seen = await world.index.run_state(CABINET)
        await world.index.write_run_state(CABINET, replace(state, step=4), seen=seen)
        return found

    world.topics.waiting = moves  # type: ignore[method-assign]  # a worker beside it
    await world.reconcile()
    assert _sent(world) == []


async def test_what_was_sent_again_is_not_sent_once_more_while_it_waits(
    world: ReconcileWorld,
) -> None:
    await _state(world, RunStep.WATCHING)
    world.later(HOUR)
    await world.reconcile()
    (event,) = _sent(world)
    assert isinstance(event, RunEvent)
    world.topics.waiting_events.append((event, world.clock.now()))
    await world.reconcile()
    assert len(_sent(world)) == 1


async def _folder(world: ReconcileWorld, run: TaskId) -> None:
    for key in (run_page_key(_CABINET, run, 0), run_plan_key(_CABINET, run)):
        await world.objects.create(key, b"{}")


async def _folders(world: ReconcileWorld) -> set[str]:
    return {key.split("/")[3] for key in await world.objects.keys(runs_prefix(_CABINET))}


async def test_what_the_current_run_keeps_stays_and_that_of_others_goes(
    world: ReconcileWorld,
) -> None:
    state = await _state(world, RunStep.EMITTING)
    await _folder(world, state.run_id)
    await _folder(world, new_task_id())
    await world.reconcile()
    assert len(await _folders(world)) == 2  # the other one may be written just now
    world.later(2 * HOUR)
    report = await world.reconcile()
    assert await _folders(world) == {state.run_id}
    assert report.mended[Mend.OLD_RUNS] == 2


async def test_what_an_ended_run_has_kept_goes_after_a_week(world: ReconcileWorld) -> None:
    state = await _state(world, RunStep.ENDED)
    await _folder(world, state.run_id)
    world.later(6 * DAY)
    await world.reconcile()
    assert await _folders(world) == {state.run_id}
    world.later(2 * DAY)
    await world.reconcile(is_dry=True)
    assert await _folders(world) == {state.run_id}
    await world.reconcile()
    assert await _folders(world) == set()


async def _configure(world: ReconcileWorld, name: str) -> CabinetConfigured:
    event = CabinetConfigured(
        cabinet_id=_CABINET,
        version=Version(world.version()),
        settings=CabinetSettings(name=name),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        at=world.clock.now(),
    )
    assert await world.objects.create(cabinet_settings_key(_CABINET, event.version), encode(event))
    return event


async def test_new_settings_are_told_again_for_some_hours(world: ReconcileWorld) -> None:
    await _configure(world, "old")
    event = await _configure(world, "new")
    report = await world.reconcile()
    assert +report.left == {Left.YOUNG: 1}
    world.later(HOUR)
    report = await world.reconcile()
    assert [decode(value) for value in world.log.on("cabinets")] == [event]
    assert report.mended == {Mend.SETTINGS: 1}
    world.later(6 * HOUR)
    assert (await world.reconcile()).mended == {}


async def test_replaced_settings_go_after_45_days_and_the_newest_stay(
    world: ReconcileWorld,
) -> None:
    await _configure(world, "old")
    await _configure(world, "older")
    newest = await _configure(world, "new")
    world.later(44 * DAY)
    assert (await world.reconcile()).mended == {}
    world.later(2 * DAY)
    assert (await world.reconcile()).mended == {Mend.OLD_SETTINGS: 2}
    assert await world.objects.keys(f"cabinets/{_CABINET}/settings/") == [
        cabinet_settings_key(_CABINET, newest.version)
    ]


async def test_settings_that_cannot_be_read_are_left(world: ReconcileWorld) -> None:
    await world.objects.create(cabinet_settings_key(_CABINET, world.version()), b"{}")
    world.later(HOUR)
    report = await world.reconcile()
    assert +report.left == {Left.UNREADABLE: 1}
    assert world.log.sent == []
