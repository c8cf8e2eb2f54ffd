"""Settling deletes, cancellations and what must not flood the dead letters."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from indexing_world import World, delivered

from embedder.domain.flood import FloodLimit
from embedder.domain.job import Job, Lease
from embedder.domain.retry import RetryPolicy
from embedder.usecases.outages import Dependency, Outages
from embedder.usecases.settle import DeadLetterFloodError, SettleJobs
from kartoteka_contracts.codec import decode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import DeletedCounts, TaskStatusChanged
from kartoteka_contracts.tasks import TaskKind, TaskStatus
from kartoteka_index.manifest import Outcome as Decided
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.metrics import Metrics
from kartoteka_testkit import builders


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.index.ensure()
    yield made
    await made.index.close()


async def _well() -> None:
    """Answer a probe."""


def _settle(world: World, *, retries: int = 3, metrics: Metrics | None = None) -> SettleJobs:
    return SettleJobs(
        work=world.work(),
        log=world.log,
        policy=RetryPolicy(retries=retries, base_seconds=60),
        clock=SystemClock(),
        outages=Outages(
            [
                Dependency(
                    name="object_store",
                    code="object_store_unavailable",
                    probe=world.objects.probe,
                ),
                Dependency(name="index", code="index_unavailable", probe=world.index.ping),
                Dependency(name="event_log", code="event_log_unavailable", probe=_well),
            ],
            pause=Backoff(base=0.001, limit=0.01),
        ),
        flood=FloodLimit(in_a_row=2),
        metrics=metrics,
    )


def _statuses(world: World) -> list[TaskStatusChanged]:
    events = [decode(value) for value in world.log.on("task.status")]
    return [event for event in events if isinstance(event, TaskStatusChanged)]


async def _status(world: World) -> TaskStatusChanged:
    (status,) = _statuses(world)
    world.log.sent.clear()
    return status


def _plant_unexpected(world: World) -> None:
    async def explode(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("planted")

    world.extractor.extract = explode  # type: ignore[method-assign, assignment] # the planted fault


async def test_a_delete_ends_with_what_it_removed(world: World) -> None:
    settle = _settle(world)
    await settle.handle(await world.accept("one\ntwo", version=1), Lease())
    await _status(world)
    await settle.handle(await world.accept_delete(version=2), Lease())
    status = await _status(world)
    assert (status.kind, status.status, status.filename) == (
        TaskKind.DELETE,
        TaskStatus.SUCCEEDED,
        None,
    )
    assert status.result is not None
    assert status.result.deleted == DeletedCounts(documents=1, chunks=2, bodies=1)


async def test_a_cabinets_delete_names_no_document(world: World) -> None:
    await _settle(world).handle(delivered(builders.cabinet_deletion()), Lease())
    status = await _status(world)
    assert (status.kind, status.document_id, status.external_id) == (TaskKind.DELETE, None, None)
    assert status.status is TaskStatus.SUCCEEDED
    assert status.key == status.task_id


async def test_a_cancelled_task_ends_as_cancelled_whoever_comes_first(world: World) -> None:
    settle = _settle(world)
    job = await world.accept("text", version=1)
    await settle.cancel(job)
    status = await _status(world)
    assert (status.task_id, status.status) == (job.event.task_id, TaskStatus.CANCELLED)
    await settle.handle(await world.accept_cancel(job), Lease())
    assert (await _status(world)).kind is TaskKind.INDEX
    await settle.handle(job, Lease())
    assert (await _status(world)).status is TaskStatus.CANCELLED
    assert (await world.manifest(job)).outcome is Decided.CANCELLED


async def test_a_cancellation_that_is_too_late_leaves_the_end_to_the_task(world: World) -> None:
    settle = _settle(world)
    job = await world.accept("text", version=1)
    await settle.handle(job, Lease())
    assert (await _status(world)).status is TaskStatus.SUCCEEDED
    await settle.handle(await world.accept_cancel(job), Lease())
    assert world.log.sent == []
    await settle.cancel(job)
    assert (await _status(world)).status is TaskStatus.SUCCEEDED


async def test_a_delete_that_newer_work_overtakes_is_carried_out_all_the_same(
    world: World,
) -> None:
    settle = _settle(world)
    job = await world.accept("one", version=1)
    await settle.handle(job, Lease())
    await _status(world)
    await settle.supersede(await world.accept_delete(version=2))
    assert (await _status(world)).status is TaskStatus.SUCCEEDED
    assert await world.texts() == []


async def test_one_body_that_may_not_be_read_becomes_its_documents_own_trouble(
    world: World,
) -> None:
    job = await world.accept("text", version=1)

    async def forbid(*_args: object, **_kwargs: object) -> None:
        raise UnavailableError("object_store_unavailable", "403")

    world.objects.download = forbid  # type: ignore[method-assign, assignment] # the planted fault
    await _settle(world).handle(job, Lease())
    assert [topic for topic, *_ in world.log.sent] == ["documents.retry", "task.status"]
    (status,) = _statuses(world)
    assert status.error is not None
    assert (status.error.code, status.status) == ("object_store_unavailable", TaskStatus.RETRYING)


async def test_a_send_is_repeated_until_kafka_takes_it(world: World) -> None:
    job = await world.accept("text", version=1)
    send, failures = world.log.send, 7

    async def refuse(*args: Any, **kwargs: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise UnavailableError("event_log_unavailable", "refused, though Kafka is there")
        return await send(*args, **kwargs)

    world.log.send = refuse  # type: ignore[method-assign] # the planted fault
    await _settle(world).handle(job, Lease())
    assert (await _status(world)).status is TaskStatus.SUCCEEDED


async def test_a_cancellation_that_is_tried_again_says_nothing_about_its_task(
    world: World,
) -> None:
    job = await world.accept("text", version=1)
    cancellation = await world.accept_cancel(job)

    async def refuse(*_args: object, **_kwargs: object) -> None:
        raise UnavailableError("index_unavailable", "planted")

    world.index.decide = refuse  # type: ignore[method-assign] # the planted fault
    world.index.ping = _well  # type: ignore[method-assign] # it is up, and refuses
    await _settle(world).handle(cancellation, Lease())
    assert [topic for topic, *_ in world.log.sent] == ["documents.retry"]
    world.log.sent.clear()
    last = replace(cancellation, envelope=Envelope(event_id="e", attempt=3))
    await _settle(world).handle(last, Lease())
    assert [topic for topic, *_ in world.log.sent] == ["documents.dlq"]


async def test_a_flood_ends_the_worker_before_the_next_failure_is_decided(world: World) -> None:
    metrics = Metrics()
    settle = _settle(world, retries=0, metrics=metrics)
    jobs = [await world.accept("a", version=1, external_id=str(n)) for n in range(3)]
    _plant_unexpected(world)
    for job in jobs[:2]:
        await settle.handle(job, Lease())
    with pytest.raises(DeadLetterFloodError, match="planted"):
        await settle.handle(jobs[2], Lease())
    assert len(world.log.on("documents.dlq")) == 2
    assert jobs[2].event.task_id not in {status.task_id for status in _statuses(world)}
    begun = await world.manifest(jobs[0])
    assert begun.outcome is Decided.FAILED
    assert await _decided(world, jobs[2]) is None
    assert _sample(metrics, "kartoteka_dead_letters_in_a_row") == 2
    assert _sample(metrics, "kartoteka_dead_letters_total", reason="retries_exhausted") == 2


async def test_a_success_lets_dead_letters_be_written_again(world: World) -> None:
    settle = _settle(world, retries=0)
    jobs = [await world.accept("?timeout", version=1, external_id=str(n)) for n in range(3)]
    good = await world.accept("good", version=1, external_id="good")
    await settle.handle(jobs[0], Lease())
    await settle.handle(jobs[1], Lease())
    await settle.handle(good, Lease())
    await settle.handle(jobs[2], Lease())
    assert len(world.log.on("documents.dlq")) == 3


async def _decided(world: World, job: Job) -> Any:
    document = job.document_id
    assert document is not None
    found = await world.index.manifest(job.cabinet, document)
    return None if found is None else found.outcome


def _sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)
