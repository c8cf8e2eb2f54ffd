"""Documents per second, accepted to searchable, beside the naive pipeline."""

import asyncio
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from kartoteka_testkit.stack import Stack
from tests.bench.corpus import Corpus
from tests.bench.figures import Report

__all__ = ["measure_memory", "measure_naive", "measure_stack"]


async def measure_stack(
    stack: Stack, corpus: Corpus, report: Report, *, embedders: int, cabinet: int
) -> float:
    """Upload the corpus at once and wait for its last document; return documents per second."""
    begun = time.perf_counter()
    tasks = await asyncio.gather(
        *(
            stack.client.accepted(name, body, cabinet=cabinet)
            for name, body in corpus.documents.items()
        )
    )
    ends = await asyncio.gather(*(_end(stack, task["task_id"]) for task in tasks))
    seconds = time.perf_counter() - begun
    failed = [end for end in ends if end["status"] != "succeeded"]
    if failed:
        raise RuntimeError(f"{len(failed)} documents did not succeed, the first: {failed[0]}")
    chunks = sum(end["result"]["chunks"] for end in ends)
    name = f"{embedders}_embedder" + ("s" if embedders > 1 else "")
    report.add_pass(f"documents_per_second_{name}", len(ends) / seconds, "1/s")
    report.add_pass(f"chunks_per_second_{name}", chunks / seconds, "1/s")
    report.add(f"stage_shares_{name}", _shares(ends))
    return len(ends) / seconds


async def _end(stack: Stack, task_id: str) -> dict[str, Any]:
    """Follow one task by its event stream, as a caller who waits would."""
    last: dict[str, Any] = {}
    async with stack.client.http.stream(
        "GET", f"/rag/task/{task_id}/events", timeout=600
    ) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                last = json.loads(line.removeprefix("data:"))
    return last


def _shares(ends: list[dict[str, Any]]) -> dict[str, float]:
    """Return each stage's share of all seconds, waiting for its turn included."""
    sums: dict[str, float] = {}
    for end in ends:
        for stage, seconds in end["result"]["seconds"].items():
            sums[stage] = sums.get(stage, 0.0) + seconds
    total = sum(sums.values())
    return {stage: round(seconds / total, 3) for stage, seconds in sums.items()}


async def measure_naive(
    stack: Stack, corpus: Corpus, report: Report, *, folder: Path, passes: int
) -> float:
    """Run the naive pipeline on the same documents; return documents per second."""
    for name, body in corpus.documents.items():
        (folder / name).write_bytes(body)
    results: list[dict[str, float]] = []
    for _ in range(passes):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bench.naive",
            str(folder),
            stack.qdrant_url,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        results.append(json.loads(output.splitlines()[-1]))
    speed = median(result["documents"] / result["seconds"] for result in results)
    report.add("naive_documents_per_second", speed, "1/s")
    report.add(
        "naive_chunks_per_second",
        median(result["chunks"] / result["seconds"] for result in results),
        "1/s",
    )
    report.add("naive_peak_mib", max(result["peak_mib"] for result in results), "MiB")
    return speed


def measure_memory(stack: Stack, report: Report) -> None:
    """Report each process's peak resident memory, with its children's at this moment."""
    for service in (*stack.apis, *stack.embedders, stack.qdrant):
        pid = service.process.pid
        report.add(f"peak_mib_{service.name.replace('-', '_')}", _peak_mib(pid), "MiB")
        for n, child in enumerate(psutil.Process(pid).children(recursive=True)):
            report.add(
                f"peak_mib_{service.name.replace('-', '_')}_child_{n}",
                _peak_mib(child.pid),
                "MiB",
            )
    report.add("peak_mib_kafka", _peak_mib(stack.broker.pid), "MiB")


def _peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024
