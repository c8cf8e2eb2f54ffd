"""Settling the steps of reindex runs: an end is told, a failure is never a dead letter."""

from pathlib import Path

import pytest
from indexing_world import World

from embedder.domain.flood import FloodLimit
from embedder.domain.job import Job, Lease, Origin, RawRecord, RunEvent
from embedder.domain.outcome import Continued, Outcome, RunEnded, RunFailed, RunJoined
from embedder.domain.retry import RetryPolicy
from embedder.usecases.outages import Outages
from embedder.usecases.settle import SettleJobs
from kartoteka_contracts.codec import decode, encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import KartotekaError
from kartoteka_contracts.events import IndexResult, TaskStatusChanged
from kartoteka_contracts.ids import new_task_id
from kartoteka_contracts.reindex import RunResult
from kartoteka_contracts.tasks import TaskKind, TaskStatus
from kartoteka_runtime.clock import SystemClock
from kartoteka_testkit.run_events import reindex_requested, run_continued


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _settle(world: World) -> SettleJobs:
    return SettleJobs(
        work=world.work(),
        log=world.log,
        policy=RetryPolicy(retries=3, base_seconds=60),
        clock=SystemClock(),
        outages=Outages(),
        flood=FloodLimit(in_a_row=1),
    )


def _job(event: RunEvent, *, attempt: int = 0) -> Job:
    envelope = Envelope(event_id="e", attempt=attempt)
    record = RawRecord(
        origin=Origin(topic="cabinets.reindex", partition=3, offset=8),
        key=event.key.encode(),
        value=encode(event),
        headers=tuple(envelope.to_headers()),
    )
    return Job(record=record, event=event, envelope=envelope)


def _status(world: World) -> TaskStatusChanged:
    assert [topic for topic, *_ in world.log.sent] == ["task.status"]
    status = decode(world.log.sent.pop()[2])
    assert isinstance(status, TaskStatusChanged)
    return status


async def _end(world: World, answer: Outcome) -> TaskStatusChanged:
    world.runs.answer = answer
    await _settle(world).handle(_job(run_continued(cabinet=9)), Lease())
    return _status(world)


async def test_a_step_that_goes_on_tells_nothing(world: World) -> None:
    request, step = reindex_requested(), run_continued()
    world.runs.answer = Continued()
    for event in (request, step):
        await _settle(world).handle(_job(event), Lease())
    assert world.runs.asked == [request, step]
    assert (world.log.sent, world.log.posted) == ([], [])


async def test_the_end_of_a_run_names_no_document(world: World) -> None:
    result = RunResult(success=3, total=4, failed=1)
    status = await _end(world, RunEnded(result=result))
    assert (status.kind, status.status) == (TaskKind.REINDEX, TaskStatus.SUCCEEDED)
    assert status.result == IndexResult(run=result)
    assert (status.cabinet_id, status.version, status.epoch) == (9, None, 0)
    assert (status.document_id, status.external_id, status.filename) == (None, None, None)


async def test_a_run_without_work_ends_as_unchanged(world: World) -> None:
    status = await _end(world, RunEnded(result=RunResult()))
    assert status.status is TaskStatus.UNCHANGED


async def test_a_run_that_joins_another_names_it(world: World) -> None:
    other = new_task_id()
    status = await _end(world, RunJoined(run=other))
    assert status.status is TaskStatus.SUPERSEDED
    assert status.result == IndexResult(run=RunResult(joined=other))


async def test_a_run_that_failed_says_why_and_how_far_it_came(world: World) -> None:
    result = RunResult(total=4, success=2)
    status = await _end(world, RunFailed(code="vanish_guard", message="60 gone", result=result))
    assert status.status is TaskStatus.FAILED
    assert status.error is not None
    assert (status.error.code, status.error.message) == ("vanish_guard", "60 gone")
    assert status.result == IndexResult(run=result)


async def test_whatever_goes_wrong_is_tried_again_in_the_lane_of_its_cabinet(world: World) -> None:
    world.runs.answer = ZeroDivisionError("planted")
    job = _job(run_continued(cabinet=9), attempt=1)
    await _settle(world).handle(job, Lease())
    ((topic, key, value, headers),) = world.log.sent
    assert (topic, key, value) == ("cabinets.reindex", "9", job.record.value)
    envelope = Envelope.from_headers(headers)
    assert (envelope.attempt, envelope.event_id) == (2, "e")
    assert envelope.not_before_ms is not None


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("planted"), KartotekaError("timeout", "planted")]
)
async def test_a_run_whose_last_try_failed_is_ended_without_a_dead_letter(
    world: World, error: Exception
) -> None:
    world.runs.answer = error
    settle = _settle(world)
    for _ in range(3):  # more than a flood of dead letters may have
        job = _job(reindex_requested(), attempt=3)
        await settle.handle(job, Lease())
        status = _status(world)
        assert status.status is TaskStatus.FAILED
        assert status.error is not None
        assert status.error.code == "unexpected"
        assert "planted" in status.error.message
        assert status.result == IndexResult(run=RunResult(total=9))
        assert world.runs.given_up[-1] == (job.event.task_id, "unexpected")


async def test_a_failure_for_good_is_not_tried_again(world: World) -> None:
    world.runs.answer = KartotekaError("source_unavailable", "403")
    await _settle(world).handle(_job(reindex_requested()), Lease())
    status = _status(world)
    assert status.error is not None
    assert (status.status, status.error.code) == (TaskStatus.FAILED, "source_unavailable")


async def test_a_run_whose_end_cannot_be_noted_fails_all_the_same(world: World) -> None:
    world.runs.answer = ZeroDivisionError("planted")
    world.runs.refuses_end = True
    result = RunResult(total=5, success=1)
    await _settle(world).handle(_job(run_continued(result=result), attempt=3), Lease())
    status = _status(world)
    assert status.status is TaskStatus.FAILED
    assert status.result == IndexResult(run=result)


async def test_a_step_that_is_stopped_or_overtaken_is_done_all_the_same(world: World) -> None:
    world.runs.answer = RunEnded(result=RunResult(total=1))
    settle, job = _settle(world), _job(run_continued())
    await settle.supersede(job)
    assert _status(world).status is TaskStatus.SUCCEEDED
    await settle.cancel(job)
    assert _status(world).status is TaskStatus.SUCCEEDED
