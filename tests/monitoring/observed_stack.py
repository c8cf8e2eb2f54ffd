"""A stack under load that a real Prometheus scrapes, and what both of them said."""

import asyncio
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from monitoring_files import ALERTS, asked
from prometheus_server import PrometheusServer, Target

from kartoteka_testkit.stack import Stack

__all__ = ["Observed", "observe"]

_SAMPLE: Final = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)[{ ]", re.MULTILINE)
_VARIABLES: Final = {
    "$namespace": ".+",
    "$job": ".+",
    "$__rate_interval": "5m",
    "$__range": "5m",
}
_MOST_BYTES: Final = 300_000
_SOURCED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen."""

    names: frozenset[str]
    """Of all series in the services' ``/metrics``."""
    answers: Mapping[str, int]
    """How many series each panel's expression had, by the expression."""
    rules: Mapping[str, str]
    """Errors of Prometheus' own evaluation of the rules, by the rule's name; empty: none."""


async def observe(folder: Path) -> Observed:
    """Run a stack, load it, and ask its Prometheus all that the dashboards ask."""
    outside = folder / "outside"
    outside.mkdir(parents=True)
    env = {"SOURCE_ALLOWED_URLS": f"file://{outside}", "UPLOAD_MAX_BYTES": str(_MOST_BYTES)}
    async with Stack(folder / "stack", schedulers=1, env=env) as stack:
        targets = [
            Target(url=stack.api_urls[0], job="kartoteka-ingest-api", pod="ingest-api-0"),
            Target(url=stack.embedder_urls[0], job="kartoteka-embedder", pod="embedder-0"),
        ]
        async with PrometheusServer(folder / "prometheus", targets, [ALERTS]) as prometheus:
            await _upload(stack)
            await _crash_a_parser(stack)
            await _reindex(stack, outside)
            await _fail_a_search(stack)
            await stack.run(["embedder", "reconcile"])
            for name in ("reconcile_ended", "scheduler_watermark"):
                await prometheus.until(f"kartoteka_{name}_timestamp_seconds")
            # A rate needs two samples.
            await prometheus.scraped()
            await prometheus.scraped()
            return Observed(
                names=await _names(targets),
                answers={one.expr: await _series(prometheus, one.expr) for one in asked()},
                rules={
                    rule["name"]: rule.get("lastError", "") or rule["health"]
                    for rule in await prometheus.rules()
                },
            )


async def _upload(stack: Stack) -> None:
    """Index documents, one of them broken, refuse one, find one, miss a task."""
    client = stack.client
    tasks = [
        (await client.accepted(f"{n}.txt", f"Walnut number {n} by the harbour.".encode()))[
            "task_id"
        ]
        for n in range(4)
    ]
    broken = await client.accepted("broken.pdf", b"%PDF-1.7\nno page of it can be read")
    assert (await client.upload("large.txt", b"x" * (_MOST_BYTES + 1))).status_code == 413
    for task in tasks:
        assert (await client.ended(task))["status"] == "succeeded"
    assert (await client.ended(broken["task_id"]))["status"] == "failed"
    assert await client.found("walnut")
    missing = await client.http.get("/rag/task/0198f2c4-b7a9-7d0e-8f5c-2a1b3d4e5f60")
    assert missing.status_code == 404


async def _crash_a_parser(stack: Stack) -> None:
    """Kill the process that reads a document, so that it is tried again."""
    client = stack.client
    parsers = _parsers(stack.embedders[0].process.pid)
    for parser in parsers:
        os.kill(parser, signal.SIGSTOP)
    task = await client.accepted("again.txt", b"A walnut that is read twice.")
    async with asyncio.timeout(30):
        while (await client.task(task["task_id"]))["stage"] != "parsing":  # noqa: ASYNC110 - HTTP
            await asyncio.sleep(0.05)
    for parser in parsers:
        os.kill(parser, signal.SIGKILL)
    assert (await client.ended(task["task_id"]))["status"] == "succeeded"


def _parsers(worker: int) -> list[int]:
    children = Path(f"/proc/{worker}/task").glob("*/children")
    found = [int(pid) for path in children for pid in path.read_text("utf-8").split()]
    parsers = [
        pid for pid in found if b"extractor_child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert parsers
    return parsers


async def _reindex(stack: Stack, outside: Path) -> None:
    """Let a run find a document in a source."""
    (outside / "a.txt").write_text("A walnut from elsewhere.")
    source = {"name": "docs", "url": f"file://{outside}", "include": ["*.txt"]}
    http = stack.client.http
    put = await http.put(f"/rag/cabinets/{_SOURCED}", json={"sources": [source]})
    assert put.status_code == 200, put.text
    run = await http.post(f"/rag/index/{_SOURCED}")
    assert run.status_code == 202, run.text
    assert (await stack.client.ended(run.json()["task_id"]))["status"] == "succeeded"


async def _fail_a_search(stack: Stack) -> None:
    """Search while Qdrant is away."""
    await asyncio.to_thread(stack.qdrant.stop)
    http = stack.client.http
    search: dict[str, Any] = {"cabinet_id": 1, "query": "walnut"}
    assert (await http.post("/rag/search", json=search)).status_code == 503
    stack.qdrant.start()
    async with asyncio.timeout(30):
        while (await http.post("/rag/search", json=search)).is_error:  # noqa: ASYNC110 - HTTP
            await asyncio.sleep(0.1)


async def _names(targets: list[Target]) -> frozenset[str]:
    async with httpx.AsyncClient() as http:
        texts = [(await http.get(f"{target.url}/metrics")).text for target in targets]
    return frozenset(name for text in texts for name in _SAMPLE.findall(text))


async def _series(prometheus: PrometheusServer, expr: str) -> int:
    for variable, value in _VARIABLES.items():
        expr = expr.replace(variable, value)
    found = await prometheus.value(expr)
    return sum(series["value"][1] != "NaN" for series in found)
