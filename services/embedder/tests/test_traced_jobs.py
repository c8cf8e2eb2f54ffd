"""Spans of jobs that no request of a document has begun: runs, and what cannot be read."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from indexing_world import delivered
from reindex_world import ReindexWorld

from embedder.domain.job import Job, Lease, Origin, RawRecord, RunEvent
from embedder.entrypoints.traced_jobs import TracedJobs
from embedder.telemetry import TracedLog
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import EventError, MalformedEventError
from kartoteka_testkit.recorded_spans import RecordedSpans

CAME = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Planner:
    """Does the steps of runs."""

    world: ReindexWorld

    def around(self, port: Any) -> Any:
        return TracedLog(port) if port is self.world.log else port

    async def handle(self, job: Job, lease: Lease) -> None:
        del lease
        assert isinstance(job.event, RunEvent)
        await self.world.deliver(job.event, self.around)

    async def supersede(self, job: Job) -> None:
        raise AssertionError(job)

    async def cancel(self, job: Job) -> None:
        raise AssertionError(job)

    async def reject(self, record: RawRecord, error: EventError) -> None:
        assert record.origin.offset
        assert error.code


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReindexWorld]:
    made = ReindexWorld(tmp_path)
    await made.index.ensure()
    await made.configure("docs")
    yield made
    await made.index.close()


def carried(world: ReindexWorld, topic: str) -> list[str]:
    found = [headers for name, _, _, headers in world.log.sent if name == topic]
    return [Envelope.from_headers(headers).traceparent or "" for headers in found]


async def test_documents_of_a_run_have_traces_of_their_own_that_link_to_it(
    world: ReindexWorld,
) -> None:
    spans = RecordedSpans()
    jobs: list[RunEvent] = []
    for n in range(3):
        world.write(f"{n}.txt", f"text {n}")
    handler = TracedJobs(Planner(world), spans.tracer)
    world.queue.append(world.request())
    while world.queue and len(jobs) < 5:
        jobs.append(world.queue.pop(0))
        await handler.handle(delivered(jobs[-1], Envelope(traceparent=CAME)), Lease())
    steps = {one.context.span_id: one for one in spans.all if one.name.startswith("process ")}
    assert {one.name for one in steps.values()} == {
        "process reindex_requested",
        "process run_continued",
    }
    assert all(
        CAME.endswith(f"{step.parent.span_id:016x}-01") for step in steps.values() if step.parent
    )
    sent = spans.named("send document")
    traces = {f"{one.context.trace_id:032x}" for one in sent}
    assert len(traces) == len(sent) == 3
    assert all(one.links[0].context.span_id in steps for one in sent)
    assert {header.split("-")[1] for header in carried(world, "documents.bulk")} == traces
    assert set(carried(world, "cabinets.reindex")) == {CAME}


async def test_what_cannot_be_read_is_a_failed_span_of_its_trace(world: ReindexWorld) -> None:
    spans = RecordedSpans()
    record = RawRecord(
        origin=Origin(topic="documents.bulk", partition=3, offset=7),
        key=b"k",
        value=b"?",
        headers=tuple(Envelope(traceparent=CAME).to_headers()),
    )
    await TracedJobs(Planner(world), spans.tracer).reject(record, MalformedEventError("no event"))
    span = spans.one("reject record")
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" in CAME
    attributes = spans.attributes(span)
    assert attributes["error.type"] == MalformedEventError("").code
    assert attributes["messaging.kafka.offset"] == 7
