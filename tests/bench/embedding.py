"""Our engine alone, one process a core, and sentence-transformers' `encode` beside it."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile
from typing import Any

from tests.bench.chunks import bench_chunks
from tests.bench.figures import Report

__all__ = ["Spent", "embed_alone", "measure_embedding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a race took."""

    seconds: float
    cpu: float
    """Seconds of CPU, of all its processes."""


async def measure_embedding(
    report: Report, *, chunks: int, passes: int, processes: int, cache: Path
) -> float:
    """Run both alternately over the same texts; return the ratio of the medians."""
    texts = bench_chunks(chunks)
    report.data["embedding"] = (
        f"{len(texts)} texts of 50 to 232 tokens, 141 on average, from pydoc_data; both sides get "
        "texts and return vectors, and read at most 256 tokens"
    )
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(passes):
        theirs.append(len(texts) / (await _race(["encode"], texts, cache)).seconds)
        alone = await embed_alone(texts, processes=processes, cache=cache)
        ours.append(len(texts) / alone.seconds)
    speed, baseline = median(ours), median(theirs)
    report.add("embedder_chunks_per_second", speed, "1/s")
    report.add("encode_chunks_per_second", baseline, "1/s")
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    report.add("embedder_ratios_pass_by_pass", [round(ratio, 2) for ratio in ratios])
    return speed / baseline


async def embed_alone(texts: list[str], *, processes: int, cache: Path) -> Spent:
    """Return what our engines spend from texts to vectors, each with its share of the texts."""
    return await _race([f"engine:{n}:{processes}" for n in range(processes)], texts, cache)


async def _race(roles: list[str], texts: list[str], cache: Path) -> Spent:
    """Let processes load, start them together, and time until the last has ended."""
    with NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(texts, file)
        file.flush()
        done, spent = await _started_together(roles, file.name, cache)
    if done != len(texts):
        raise RuntimeError(f"{done} of {len(texts)} chunks were embedded")
    return spent


async def _started_together(roles: list[str], texts: str, cache: Path) -> tuple[int, Spent]:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bench.embedding_process",
            role,
            texts,
            str(cache),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for role in roles
    ]
    for process in processes:
        if process.stdout is None or (await process.stdout.readline()).strip() != b"ready":
            raise RuntimeError(f"{roles} did not get ready")
    begun = asyncio.get_running_loop().time()
    ends = await asyncio.gather(*(_embed(process) for process in processes))
    seconds = asyncio.get_running_loop().time() - begun
    await asyncio.gather(*(process.wait() for process in processes))
    cpu = sum(float(end["cpu"]) for end in ends)
    return sum(int(end["chunks"]) for end in ends), Spent(seconds=seconds, cpu=cpu)


async def _embed(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Give the start; return how many chunks are done, once they are, and the CPU seconds."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process has no pipes")
    process.stdin.write(b"go\n")
    await process.stdin.drain()
    async for line in process.stdout:
        if line.startswith(b"{"):
            end: dict[str, Any] = json.loads(line)
            return end
    raise RuntimeError("the process ended without a result")
