"""Cancellations on real Kafka: wherever the work is, and whoever dies meanwhile."""

import time

import pytest

from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_testkit.builders import cancellation
from kartoteka_testkit.job_stage import JobStage, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


async def _cancel(
    stage: JobStage, event: DocumentSubmitted, *, topic: str = "documents.interactive"
) -> None:
    value = cancellation(event).model_dump_json().encode()
    await stage.send_raw(value, key=event.key, topic=topic)


async def test_work_queued_in_bulk_is_withdrawn_and_never_begins(stage: JobStage) -> None:
    await stage.worker(WORKER_MAX_RUNNING="2", WORKER_RESERVED_INTERACTIVE="1")
    running, queued = stage.event("running", seconds=60), stage.event("queued", seconds=60)
    await stage.send(running, queued, stage.event("last"), topic="documents.bulk")
    await until(lambda: stage.names("began") == ["running"])
    await _cancel(stage, queued)
    await until(lambda: stage.names("withdrawn") == ["queued"])
    await _cancel(stage, running)
    await until(lambda: "last" in stage.names("ended"))
    assert [line["reason"] for line in stage.lines("cancelled")] == ["cancelled"]
    assert stage.names("withdrawn") == ["queued", "running"]
    await until(stage.is_committed)
    assert stage.names("began") == ["running", "last"]


async def test_a_held_retry_is_withdrawn_and_its_partition_is_free(stage: JobStage) -> None:
    await stage.worker()
    due_ms = int((time.time() + 600) * 1000)
    held = stage.event("held")
    headers = Envelope(event_id="a", attempt=1, not_before_ms=due_ms).to_headers()
    await stage.send(held, topic="documents.retry", headers=headers)
    await stage.send(stage.event("next"), topic="documents.retry")
    await until(lambda: stage.names("ended") == ["next"])
    assert not await stage.is_committed()
    await _cancel(stage, held)
    await until(stage.is_committed)
    assert stage.names("withdrawn") == ["held"]
    assert stage.names("began") == ["next"]


async def test_a_cancellation_is_delivered_again_with_its_work_after_a_kill(
    stage: JobStage,
) -> None:
    first = await stage.worker()
    blocker, work = stage.event("blocker", seconds=8), stage.event("work", seconds=60)
    # Nothing after the first can be committed before it has ended.
    await stage.send(blocker, work, topic="documents.bulk")
    await until(lambda: {"blocker", "work"} <= set(stage.names("began")))
    await _cancel(stage, work, topic="documents.bulk")
    await until(lambda: stage.names("withdrawn") == ["work"])
    first.process.kill()
    await stage.worker()
    await until(lambda: "blocker" in stage.names("ended"), seconds=40)
    await until(stage.is_committed, seconds=30)
    assert "work" not in stage.names("ended")
    assert stage.names("withdrawn") == ["work", "work"]
