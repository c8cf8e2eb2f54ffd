"""Chunks per second: our engine, one process a core, beside sentence-transformers' `encode`."""

import asyncio
import json
import sys
from pathlib import Path
from statistics import median

from tests.bench.chunks import bench_chunks
from tests.bench.figures import Report

__all__ = ["measure_embedding"]


async def measure_embedding(
    report: Report, *, chunks: int, passes: int, processes: int, cache: Path
) -> float:
    """Run both alternately over the same texts; return the ratio of the medians."""
    texts = bench_chunks(chunks)
    report.data["embedding"] = (
        f"{len(texts)} chunks cut at sentence ends from pydoc_data, "
        f"mean {sum(len(text.split()) for text in texts) / len(texts):.0f} words"
    )
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(passes):
        theirs.append(await _race(["encode"], chunks, cache))
        ours.append(
            await _race([f"engine:{n}:{processes}" for n in range(processes)], chunks, cache)
        )
    speed, baseline = median(ours), median(theirs)
    report.add("embedder_chunks_per_second", speed, "1/s")
    report.add("encode_chunks_per_second", baseline, "1/s")
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    report.add("embedder_ratios_pass_by_pass", [round(ratio, 2) for ratio in ratios])
    return speed / baseline


async def _race(roles: list[str], chunks: int, cache: Path) -> float:
    """Let processes load, start them together, and time until the last has ended."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bench.embedding_process",
            role,
            str(chunks),
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
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    seconds = asyncio.get_running_loop().time() - begun
    done = sum(int(json.loads(output)["chunks"]) for output, _ in outputs)
    if done != chunks:
        raise RuntimeError(f"{done} of {chunks} chunks were embedded")
    return done / seconds
