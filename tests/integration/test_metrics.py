"""What services tell of themselves on the real stack: right after one document, right at rest."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kartoteka_contracts.topics import TOPICS, Service
from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

_READ_BY_WORKERS = {
    name for name, topic in TOPICS.items() if {Service.EMBEDDER, Service.PLANNER} & topic.consumers
}

_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text("utf-8")

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


async def _scrape(url: str) -> Samples:
    async with httpx.AsyncClient(timeout=10) as client:
        text = (await client.get(f"{url}/metrics")).raise_for_status().text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"kartoteka_{name}", frozenset(labels.items())))


async def _until(url: str, name: str, value: float, **labels: str) -> Samples:
    """Scrape until a sample has a value.

    Raises:
        AssertionError: it has another one for a minute.
    """
    deadline = time.monotonic() + 60
    while True:
        samples = await _scrape(url)
        if _value(samples, name, **labels) == value:
            return samples
        assert time.monotonic() < deadline, f"{name} is {_value(samples, name, **labels)}"
        await asyncio.sleep(0.5)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path, schedulers=1) as running:
        yield running


async def test_one_document_shows_in_both_services_and_leaves_nothing_waiting(
    stack: Stack,
) -> None:
    accepted = await stack.client.accepted("one.txt", b"A text about metrics.")
    assert (await stack.client.ended(accepted["task_id"]))["status"] == "succeeded"
    await _each_service_has_the_metrics_that_are_documented(stack)
    await _worker_tells_of_the_document(stack)
    await _api_tells_that_nothing_waits(stack)
    await _lag_is_0_on_all_that_workers_read(stack)
    await _commands_that_have_ended_are_shown(stack)


async def _each_service_has_the_metrics_that_are_documented(stack: Stack) -> None:
    sections = {part.partition("\n")[0]: part for part in _PAGE.split("\n## ")[1:]}
    for service, url in (("ingest-api", stack.api_urls[0]), ("embedder", stack.embedder_urls[0])):
        documented = set(re.findall(r"^\| `(\w+)` \| (\w+) ", sections[service], re.MULTILINE))
        async with httpx.AsyncClient(timeout=10) as client:
            text = (await client.get(f"{url}/metrics")).text
        told = set(re.findall(r"^# TYPE (kartoteka_\w+) (\w+)$", text, re.MULTILINE))
        assert {one for one in told if not one[0].endswith("_created")} == documented


async def _worker_tells_of_the_document(stack: Stack) -> None:
    worker = await _scrape(stack.embedder_urls[0])
    assert _value(worker, "searchable_seconds_count", work="interactive") == 1
    seconds = _value(worker, "searchable_seconds_sum", work="interactive")
    assert seconds is not None
    assert 0 < seconds < 60
    for stage in ("fetching", "parsing", "chunking", "embedding", "writing"):
        assert _value(worker, "stage_seconds_count", stage=stage) == 1
    assert _value(worker, "attempts_total", work="interactive", outcome="succeeded") == 1
    assert _value(worker, "attempts_total", work="interactive", outcome="failed") == 0
    assert _value(worker, "parser_kills_total", reason="crashed") == 0
    children = _value(worker, "parser_children")
    assert children is not None
    assert children > 0
    lag = _value(worker, "event_loop_lag_seconds")
    assert lag is not None
    assert 0 <= lag < 10


async def _api_tells_that_nothing_waits(stack: Stack) -> None:
    api = await _until(stack.api_urls[0], "tasks_ended_total", 1, kind="index", status="succeeded")
    assert _value(api, "tasks_ended_total", kind="index", status="failed") == 0
    for kind in ("interactive", "bulk", "retry"):
        api = await _until(stack.api_urls[0], "backlog_documents", 0, **{"class": kind})
        assert _value(api, "backlog_oldest_age_seconds", **{"class": kind}) == 0
    assert _value(api, "dead_letters_open") == 0
    assert _value(api, "reindex_runs_open") == 0
    assert _value(api, "http_in_flight") == 0
    stale = _value(api, "view_stale_seconds")
    assert stale is not None
    assert stale < 30
    for dependency in ("kafka", "qdrant", "object_storage", "embedder"):
        await _until(stack.api_urls[0], "dependency_up", 1, dependency=dependency)


async def _lag_is_0_on_all_that_workers_read(stack: Stack) -> None:
    group = "kartoteka-embedder"
    for topic in sorted(_READ_BY_WORKERS):
        api = await _until(stack.api_urls[0], "consumer_lag_records", 0, group=group, topic=topic)
    shown = {
        dict(labels)["topic"] for name, labels in api if name.endswith("lag_records") and labels
    }
    assert shown == _READ_BY_WORKERS


async def _commands_that_have_ended_are_shown(stack: Stack) -> None:
    began = time.time()
    await stack.run(["embedder", "reconcile"])
    api = await _until(stack.api_urls[0], "reconcile_ok", 1)
    ended = _value(api, "reconcile_ended_timestamp_seconds")
    assert ended is not None
    assert began - 1 < ended < time.time() + 1
    assert _value(api, "reconcile_seen", kind="cabinets") == 1
    watermark = _value(api, "scheduler_watermark_timestamp_seconds")
    assert watermark is not None
    assert began - 120 < watermark < time.time() + 1
    assert _value(api, "reconcile_mended", kind="document_submitted") == 0
