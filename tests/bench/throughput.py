"""Documents and tokens per second, accepted to searchable, beside the naive pipeline."""

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from qdrant_client import AsyncQdrantClient, models

from embedder.adapters.tokenizer import FileTokenizer
from kartoteka_testkit.stack import Stack
from tests.bench.chunks import MODEL_FOLDER
from tests.bench.corpus import Corpus
from tests.bench.cpu import CpuMeter
from tests.bench.figures import Report

__all__ = ["Indexed", "measure_memory", "run_naive", "run_stack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What one run of a pipeline over a corpus did."""

    documents: int
    chunks: int
    tokens: int
    """Of the chunks' texts, without special ones."""
    seconds: float
    cpu: float
    """Seconds of CPU: of our services, all of them; of the naive pipeline, its own process."""

    def report(self, report: Report, side: str) -> None:
        """Add this run as one pass of a side."""
        report.add_pass(f"documents_per_second_{side}", self.documents / self.seconds, "1/s")
        report.add_pass(f"chunks_per_second_{side}", self.chunks / self.seconds, "1/s")
        report.add_pass(f"tokens_per_second_{side}", self.tokens / self.seconds, "1/s")
        report.add_pass(f"cpu_seconds_in_all_{side}", self.cpu, "s")
        report.add(f"tokens_{side}", self.tokens)


async def run_stack(
    stack: Stack, corpus: Corpus, report: Report, *, side: str, cabinet: int
) -> tuple[Indexed, list[str]]:
    """Upload the corpus at once and wait for its last document; return the chunks' texts too."""
    meter = CpuMeter(_pids(stack), client=os.getpid())
    begun = time.perf_counter()
    tasks = await asyncio.gather(
        *(
            stack.client.accepted(name, body, cabinet=cabinet)
            for name, body in corpus.documents.items()
        )
    )
    ends = await asyncio.gather(*(_end(stack, task["task_id"]) for task in tasks))
    seconds = time.perf_counter() - begun
    spent = meter.spent()
    failed = [end for end in ends if end["status"] != "succeeded"]
    if failed:
        raise RuntimeError(f"{len(failed)} documents did not succeed, the first: {failed[0]}")
    texts = await _texts(stack, cabinet)
    chunks = sum(end["result"]["chunks"] for end in ends)
    if len(texts) != chunks:
        raise RuntimeError(f"the index holds {len(texts)} of {chunks} chunks")
    tokenizer = FileTokenizer(MODEL_FOLDER / "tokenizer.json")
    tokens = sum(int(tokenizer.encode(text).ids.size) for text in texts)
    run = Indexed(
        documents=len(ends),
        chunks=chunks,
        tokens=tokens,
        seconds=seconds,
        cpu=sum(part for name, part in spent.items() if name != "client"),
    )
    run.report(report, side)
    report.add(f"stage_shares_{side}", _shares(ends))
    cores = round(seconds * (psutil.cpu_count() or 1), 2)
    report.add(f"cpu_seconds_{side}", spent | {"of all cores": cores})
    return run, texts


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


async def _texts(stack: Stack, cabinet: int) -> list[str]:
    """Read a cabinet's chunks back from the index."""
    client = AsyncQdrantClient(url=stack.qdrant_url)
    try:
        names = [found.name for found in (await client.get_collections()).collections]
        belongs = models.FieldCondition(
            key="cabinet_id", match=models.MatchValue(value=str(cabinet))
        )
        texts: list[str] = []
        for name in names:
            offset: Any = None
            while True:
                points, offset = await client.scroll(
                    name,
                    scroll_filter=models.Filter(must=[belongs]),
                    limit=500,
                    offset=offset,
                    with_payload=["text"],
                )
                texts += [point.payload["text"] for point in points if point.payload]
                if offset is None:
                    break
        return texts
    finally:
        await client.close()


def _shares(ends: list[dict[str, Any]]) -> dict[str, float]:
    """Return each stage's share of all seconds, waiting for its turn included."""
    sums: dict[str, float] = {}
    for end in ends:
        for stage, seconds in end["result"]["seconds"].items():
            sums[stage] = sums.get(stage, 0.0) + seconds
    total = sum(sums.values())
    return {stage: round(seconds / total, 3) for stage, seconds in sums.items()}


async def run_naive(stack: Stack, report: Report, *, folder: Path) -> Indexed:
    """Run the naive pipeline on the documents of a folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.naive",
        str(folder),
        stack.qdrant_url,
        env={**os.environ, "TQDM_DISABLE": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    result = json.loads(output.splitlines()[-1])
    report.add("naive_peak_mib", result.pop("peak_mib"), "MiB")
    report.add("naive_shares", result.pop("shares"))
    run = Indexed(**result)
    run.report(report, "naive")
    return run


def measure_memory(stack: Stack, report: Report) -> None:
    """Report each process's peak resident memory, with its children's at this moment."""
    for name, pid in _pids(stack).items():
        label = f"peak_mib_{name.replace('-', '_')}"
        report.add(label, _peak_mib(pid), "MiB")
        for n, child in enumerate(psutil.Process(pid).children(recursive=True)):
            report.add(f"{label}_child_{n}", _peak_mib(child.pid), "MiB")


def _pids(stack: Stack) -> dict[str, int]:
    services = (*stack.apis, *stack.embedders, stack.qdrant)
    pids = {service.name: service.process.pid for service in services}
    return pids | {"kafka": stack.broker.pid}


def _peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024
