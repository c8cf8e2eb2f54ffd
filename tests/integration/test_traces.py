"""Traces of the real processes, over real Kafka, to a collector that is there or is not."""

from pathlib import Path

import pytest

from kartoteka_testkit.ports import free_ports
from kartoteka_testkit.span_collector import SpanCollector
from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CAME = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def traced(endpoint: str) -> dict[str, str]:
    return {"TRACING_ENABLED": "true", "TRACING_ENDPOINT": endpoint, "LOG_FORMAT": "json"}


async def test_a_document_is_one_trace_over_kafka_and_none_of_it_is_lost_at_the_end(
    tmp_path: Path,
) -> None:
    with SpanCollector() as collector:
        async with Stack(tmp_path, env=traced(collector.url)) as stack:
            stack.client.http.headers["traceparent"] = CAME
            task = await stack.client.accepted("a.txt", b"This is about galena.\n")
            assert (await stack.client.ended(task["task_id"]))["status"] == "succeeded"
            # What was not sent yet is sent now: both end in their own time.
            for service in (*stack.apis, *stack.embedders):
                service.stop()
        (upsert,) = (one for one in collector.spans if one.name == "qdrant upsert")
        assert collector.path(upsert) == [
            "POST /rag/add-document",
            "accept document",
            "process document_submitted",
            "writing",
            "qdrant upsert",
        ]
        assert upsert.service == "embedder"
        assert upsert.trace_id in CAME
        assert {one.service for one in collector.spans} == {"ingest-api", "embedder"}
    logged = "".join(service.log.read_text() for service in (*stack.apis, *stack.embedders))
    lines = [line for line in logged.splitlines() if task["task_id"] in line]
    assert lines
    assert all(upsert.trace_id in line for line in lines)


async def test_without_a_collector_documents_are_indexed_and_processes_end(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with Stack(tmp_path, env=traced(f"http://127.0.0.1:{port}")) as stack:
        task = await stack.client.accepted("a.txt", b"This is about galena.\n")
        assert (await stack.client.ended(task["task_id"]))["status"] == "succeeded"
        for service in (*stack.apis, *stack.embedders):
            service.stop()
