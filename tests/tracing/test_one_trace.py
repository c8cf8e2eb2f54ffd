"""A document is one trace, from the request to Qdrant's writes, whatever happens on its way."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from traced_services import Services, services

from kartoteka_contracts.envelope import Envelope
from kartoteka_runtime.logs import LogSettings, configure

CAME = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = CAME.split("-")[1]
UPLOAD = ["POST /rag/add-document", "accept document"]


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Services]:
    async with services(tmp_path) as made:
        yield made


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    out = io.StringIO()
    configure(LogSettings(), service="test", stream=out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def told(lines: io.StringIO, *events: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [line for line in found if line["event"] in events]


def traces_of(both: Services, *topics: str) -> set[str]:
    """The trace ids that records of these topics carry; empty for one that carries none."""
    carried = [
        Envelope.from_headers(record.headers).traceparent or "--"
        for topic in topics
        for record in both.sent.on(topic)
    ]
    return {header.split("-")[1] for header in carried}


async def test_an_upload_is_one_trace_down_to_qdrants_writes(both: Services) -> None:
    task = await both.upload("a.txt", traceparent=CAME)
    await both.work()
    assert {f"{span.context.trace_id:032x}" for span in both.spans()} == {TRACE}
    work = [*UPLOAD, "process document_submitted"]
    upsert = both.worker.one("qdrant upsert")
    assert both.path(upsert) == [*work, "writing", "qdrant upsert"]
    stages = {span.name for span in both.worker.all if both.path(span)[:-1] == work}
    assert stages >= {"fetching", "extracting", "embedding", "writing"}
    assert both.path(both.worker.one("parsing")) == [*work, "extracting", "parsing"]
    decided = [span for span in both.worker.all if "decide" in span.name]
    assert decided, both.worker.names
    assert all(both.path(span)[:4] == [*work, "writing"] for span in decided)
    processed = both.worker.attributes(both.worker.one("process document_submitted"))
    assert processed["kartoteka.task_id"] == task["task_id"]
    assert processed["kartoteka.document_id"] == task["document_id"]
    assert processed["kartoteka.outcome"] == "indexed"
    assert processed["messaging.destination.name"] == "documents.interactive"
    request = both.api.attributes(both.api.one("POST /rag/add-document"))
    assert request["http.response.status_code"] == 202
    assert request["kartoteka.task_id"] == task["task_id"]
    assert traces_of(both, "documents.interactive", "task.status", "task.progress") == {TRACE}


async def test_a_request_without_a_trace_begins_one_that_the_worker_goes_on_with(
    both: Services,
) -> None:
    await both.upload("a.txt")
    await both.work()
    assert len({span.context.trace_id for span in both.spans()}) == 1
    assert both.api.one("POST /rag/add-document").parent is None


async def test_tries_stand_beside_each_other_in_the_same_trace(both: Services) -> None:
    both.extractor.failures = 1
    await both.upload("a.txt", traceparent=CAME)
    await both.work()
    first, second = both.worker.named("process document_submitted")
    assert first.parent == second.parent
    assert both.worker.attributes(first)["error.type"] == "timeout"
    assert both.worker.attributes(first)["kartoteka.attempt"] == 0
    assert both.worker.attributes(second)["kartoteka.attempt"] == 1
    assert both.worker.attributes(second)["kartoteka.outcome"] == "indexed"
    assert {f"{span.context.trace_id:032x}" for span in both.spans()} == {TRACE}
    assert traces_of(both, "documents.retry", "task.status") == {TRACE}


async def test_a_dead_letter_carries_the_trace(both: Services) -> None:
    await both.upload("a.txt", "!malformed", traceparent=CAME)
    await both.work()
    assert len(both.sent.on("documents.dlq")) == 1
    assert traces_of(both, "documents.dlq", "task.status") == {TRACE}


async def test_a_delete_is_one_trace(both: Services) -> None:
    document = (await both.upload("a.txt"))["document_id"]
    await both.work()
    answer = await both.client.delete(
        f"/rag/documents/{document}", params={"cabinet_id": 7}, headers={"traceparent": CAME}
    )
    assert answer.status_code == 202
    await both.work()
    ours = [span for span in both.spans() if f"{span.context.trace_id:032x}" == TRACE]
    deleted = [span for span in ours if span.name == "qdrant delete"]
    assert deleted
    route = "DELETE /rag/documents/{document_id}"
    work = [route, "process document_deletion_requested"]
    assert all(both.path(span)[:2] == work for span in deleted)
    request = both.api.attributes(both.api.one(route))
    assert request["kartoteka.document_id"] == document
    assert request["kartoteka.task_id"] == answer.json()["task_id"]


async def test_a_repetition_sends_its_event_in_the_first_requests_trace(both: Services) -> None:
    for trace in (CAME, "00-" + "1" * 32 + "-" + "2" * 16 + "-01"):
        await both.upload("a.txt", **{"traceparent": trace, "Idempotency-Key": "k"})
    assert len(both.sent.on("documents.interactive")) == 2
    assert traces_of(both, "documents.interactive") == {TRACE}


async def test_documents_of_a_batch_share_the_requests_trace(both: Services) -> None:
    files = [("files", (f"{n}.txt", f"text {n}".encode())) for n in range(3)]
    answer = await both.client.post(
        "/rag/add-documents-batch", data={"cabinet_id": "7"}, files=files
    )
    assert answer.status_code == 202
    await both.work()
    assert len({span.context.trace_id for span in both.spans()}) == 1
    works = both.worker.named("process document_submitted")
    parents = {span.parent.span_id for span in works if span.parent is not None}
    assert len(parents) == 3, "each has its own part of the request"


async def test_a_failed_and_an_unknown_request_are_named_and_probes_are_not(
    both: Services,
) -> None:
    await both.client.get("/rag/nowhere/123456")
    await both.client.get("/metrics")
    span = both.api.one("GET")
    assert both.api.attributes(span)["http.response.status_code"] == 404
    assert both.api.names == ["GET"]


@pytest.mark.parametrize("is_traced", [True, False])
async def test_every_line_names_its_own_document_task_and_trace(
    tmp_path: Path, lines: io.StringIO, *, is_traced: bool
) -> None:
    traces = {f"{n}.txt": f"{n + 1:032x}" for n in range(6)}
    async with services(tmp_path, is_traced=is_traced) as both:
        both.extractor.failures = 2
        answers = await asyncio.gather(
            *(
                both.upload(name, traceparent=f"00-{trace}-b7ad6b7169203331-01")
                for name, trace in traces.items()
            )
        )
        await both.work()
    by_name = {answer["filename"]: answer for answer in answers}
    by_document = {answer["document_id"]: answer for answer in answers}
    read = told(lines, "reading")
    recorded = told(lines, "recorded")
    assert len(read) >= 12
    assert len(recorded) == 6
    for line in [*read, *recorded]:
        answer = by_name.get(line["of"]) or by_document[line["of"]]
        assert line["document_id"] == answer["document_id"]
        assert line["task_id"] == answer["task_id"]
        assert line["cabinet_id"] == 7
        assert line["trace_id"] == traces[answer["filename"]]
    for line in told(lines, "job_postponed", "request"):
        answer = by_document[line["document_id"]]
        assert line["task_id"] == answer["task_id"]
        assert line["trace_id"] == traces[answer["filename"]]


async def test_without_a_trace_no_line_names_one(tmp_path: Path, lines: io.StringIO) -> None:
    async with services(tmp_path, is_traced=False) as both:
        await both.upload("a.txt", traceparent=CAME)
        await both.upload("b.txt")
        await both.work()
        assert traces_of(both, "task.status") == {TRACE, ""}
        assert both.spans() == []
    named = {line["of"]: line.get("trace_id") for line in told(lines, "reading")}
    assert named == {"a.txt": TRACE, "b.txt": None}
