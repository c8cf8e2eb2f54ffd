"""Settling: retry or dead letter first, then the status; and each of them only once it is due."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from indexing_world import World, delivered

from embedder.domain.job import Job, Lease
from embedder.domain.retry import RetryPolicy
from embedder.usecases.outages import Outages
from embedder.usecases.settle import SettleJobs
from kartoteka_contracts.codec import decode
from kartoteka_contracts.dead_letter import DeadLetter
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import KartotekaError, MalformedEventError, RequestError
from kartoteka_contracts.events import TaskProgressed, TaskStatusChanged
from kartoteka_contracts.tasks import Stage, TaskStatus
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.producer import Delivered


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.index.ensure()
    yield made
    await made.index.close()


def _settle(world: World) -> SettleJobs:
    return SettleJobs(
        work=world.work(),
        log=world.log,
        policy=RetryPolicy(retries=3, base_seconds=60),
        clock=SystemClock(),
        outages=Outages(),
    )


def _statuses(world: World) -> list[TaskStatusChanged]:
    events = [decode(value) for value in world.log.on("task.status")]
    return [event for event in events if isinstance(event, TaskStatusChanged)]


async def test_success_is_one_awaited_status_with_the_result(world: World) -> None:
    job = await world.accept("one\ntwo", version=1)
    await _settle(world).handle(job, Lease())
    (status,) = _statuses(world)
    assert status.status is TaskStatus.SUCCEEDED
    assert status.result is not None
    assert status.result.chunks == 2
    stages = [
        event.stage
        for value in world.log.posted
        if isinstance(event := decode(value), TaskProgressed)
    ]
    assert stages == [Stage.FETCHING, Stage.PARSING, Stage.EMBEDDING, Stage.WRITING]


async def test_a_passing_failure_goes_to_the_retry_topic_before_its_status(world: World) -> None:
    job = await world.accept("?timeout", version=1)
    await _settle(world).handle(job, Lease())
    assert [topic for topic, *_ in world.log.sent] == ["documents.retry", "task.status"]
    _, key, value, headers = world.log.sent[0]
    envelope = Envelope.from_headers(headers)
    assert (key, value) == (job.event.key, job.record.value)
    assert envelope.attempt == 1
    assert envelope.first_failed_at_ms is not None
    (status,) = _statuses(world)
    assert status.status is TaskStatus.RETRYING
    assert status.next_attempt_at is not None
    assert status.error is not None
    assert (status.error.code, status.error.retriable) == ("timeout", True)


async def test_the_last_retry_ends_in_the_dead_letters_and_failed(world: World) -> None:
    first = await world.accept("?timeout", version=1)
    envelope = Envelope(event_id="e", attempt=3, first_failed_at_ms=5)
    await _settle(world).handle(replace(first, envelope=envelope), Lease())
    assert [topic for topic, *_ in world.log.sent] == ["documents.dlq", "task.status"]
    _, key, value, headers = world.log.sent[0]
    letter = DeadLetter.from_headers(list(headers))
    assert (key, value) == (first.event.key, first.record.value)
    assert (letter.reason, letter.attempts, letter.first_failed_at_ms) == (
        "retries_exhausted",
        4,
        5,
    )
    assert "timeout" in letter.message
    (status,) = _statuses(world)
    assert status.status is TaskStatus.FAILED
    assert status.error is not None
    assert status.error.code == "retries_exhausted"


async def test_a_verdict_is_not_tried_again(world: World) -> None:
    job = await world.accept("!encrypted", version=1)
    await _settle(world).handle(job, Lease())
    assert world.log.on("documents.retry") == []
    assert world.log.on("documents.dlq") == [job.record.value]
    assert [status.status for status in _statuses(world)] == [TaskStatus.FAILED]


async def test_whatever_else_goes_wrong_is_tried_again(world: World) -> None:
    job = await world.accept("\x00", version=1)

    async def explode(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("planted")

    world.extractor.extract = explode  # type: ignore[method-assign, assignment] # the planted fault
    await _settle(world).handle(job, Lease())
    (status,) = _statuses(world)
    assert status.status is TaskStatus.RETRYING
    assert status.error is not None
    assert status.error.code == "unexpected"
    assert "planted" in status.error.message


async def test_a_failure_that_the_index_does_not_take_ends_the_task_all_the_same(
    world: World,
) -> None:
    job = await world.accept("?timeout", version=1)

    async def refuse(*_args: object) -> None:
        raise KartotekaError("internal", "Qdrant answered 400")

    world.index.decide = refuse  # type: ignore[method-assign, assignment] # the planted fault
    envelope = Envelope(event_id="e", attempt=3)
    await _settle(world).handle(replace(job, envelope=envelope), Lease())
    assert [topic for topic, *_ in world.log.sent] == ["documents.dlq", "task.status"]
    (status,) = _statuses(world)
    assert status.status is TaskStatus.FAILED


async def test_what_an_unknown_error_says_is_cut_and_made_text(world: World) -> None:
    job = await world.accept("text", version=1)

    async def explode(*_args: object, **_kwargs: object) -> None:
        raise ValueError("\ud800" * 100_000)

    world.extractor.extract = explode  # type: ignore[method-assign, assignment] # the planted fault
    await _settle(world).handle(job, Lease())
    (status,) = _statuses(world)
    assert status.error is not None
    assert status.error.message.startswith("ValueError: ???")
    assert len(status.error.message) < 2000


async def test_superseded_work_ends_so(world: World) -> None:
    job = await world.accept("text", version=1)
    await _settle(world).supersede(job)
    assert [status.status for status in _statuses(world)] == [TaskStatus.SUPERSEDED]


async def test_an_unreadable_record_is_kept_raw(world: World) -> None:
    job: Job = delivered((await world.accept("text", version=1)).event)
    record = replace(job.record, value=b"\xff\x00", key=None)
    await _settle(world).reject(record, MalformedEventError("not JSON"))
    ((topic, key, value, headers),) = world.log.sent
    assert (topic, key, value) == ("documents.dlq", "", b"\xff\x00")
    assert DeadLetter.from_headers(list(headers)).reason == "event_malformed"


async def test_an_unreadable_record_that_is_too_large_is_kept_by_its_place(world: World) -> None:
    job: Job = delivered((await world.accept("text", version=1)).event, offset=17)
    most = 1000
    send = world.log.send

    async def limited(topic: str, *, key: str, value: bytes, **more: Any) -> Delivered:
        if len(key) + len(value) > most:
            raise RequestError("body_too_large")
        return await send(topic, key=key, value=value, **more)

    world.log.send = limited  # type: ignore[method-assign] # Kafka's limit
    record = replace(job.record, value=b"x" * 2000, key=b"k" * 2000)
    await _settle(world).reject(record, MalformedEventError("not JSON"))
    ((topic, _, value, headers),) = world.log.sent
    assert (topic, value) == ("documents.dlq", b"")
    letter = DeadLetter.from_headers(list(headers))
    assert (letter.reason, letter.origin_offset) == ("event_malformed", 17)
