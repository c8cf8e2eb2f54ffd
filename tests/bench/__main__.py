"""Measure the real stack and its baselines in one run; print the figures and save them as JSON."""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from kartoteka_testkit.stack import Stack
from tests.bench.accepting import measure_accept, measure_searchable, measure_start
from tests.bench.corpus import make_corpus
from tests.bench.embedding import measure_embedding
from tests.bench.figures import Report
from tests.bench.reading import measure_reading
from tests.bench.throughput import measure_memory, measure_naive, measure_stack

ROOT = Path(__file__).resolve().parents[2]


async def _measure(options: argparse.Namespace, report: Report, folder: Path) -> None:
    cache = Path(os.environ.get("KARTOTEKA_HOME", ROOT / ".kartoteka")) / "models"
    corpus = make_corpus(options.documents)
    report.data["documents"] = corpus.description
    env = {"MODEL_BACKEND": "openvino", "MODEL_CACHE": str(cache), "LOG_LEVEL": "warning"}
    # What tests shorten is here as in production.
    env |= {
        "KAFKA_JOB_PARTITIONS": "24",
        "WORKER_SESSION_TIMEOUT_SECONDS": "15",
        "WORKER_HEARTBEAT_SECONDS": "3",
    }
    async with Stack(folder / "two", embedders=2, env=env) as stack:
        await measure_accept(stack, report)
        report.section("Documents accepted to searchable")
        await measure_stack(stack, make_corpus(8, offset=900), Report(), embedders=2, cabinet=9)
        ours = [
            await measure_stack(stack, corpus, report, embedders=2, cabinet=10 + n)
            for n in range(options.passes)
        ]
        await measure_searchable(stack, report, count=options.pages)
        report.section("Peak memory")
        measure_memory(stack, report)
        report.section("The naive pipeline, on the same documents; ours is idle meanwhile")
        pdfs = folder / "pdfs"
        pdfs.mkdir()
        theirs = await measure_naive(stack, corpus, report, folder=pdfs, passes=options.passes)
        report.section("Reading and chunking, in one process")
        measure_reading(corpus, report, folder=pdfs, passes=options.passes)
    async with Stack(folder / "one", embedders=1, env=env) as stack:
        report.section("One embedder")
        await measure_stack(stack, make_corpus(8, offset=900), Report(), embedders=1, cabinet=9)
        await measure_stack(stack, corpus, report, embedders=1, cabinet=10)
        await measure_start(stack, report)
    report.section("Embedding alone")
    ratio = await measure_embedding(
        report, chunks=options.chunks, passes=options.passes, processes=2, cache=cache
    )
    report.section("Ratios")
    report.add("embedder_to_encode", ratio)
    report.add("documents_to_naive", median(ours) / theirs)


def main() -> int:
    """Run the command; see the module's text."""
    parser = argparse.ArgumentParser(prog="make bench BENCH=…", description=__doc__)
    parser.add_argument("--documents", type=int, default=196, help="PDFs of three pages")
    parser.add_argument("--pages", type=int, default=30, help="single pages, one after another")
    parser.add_argument("--chunks", type=int, default=1500, help="for embedding alone")
    parser.add_argument("--passes", type=int, default=3, help="of what is compared")
    parser.add_argument(
        "--save", type=Path, default=ROOT / ".kartoteka" / "bench.json", help="the JSON's path"
    )
    options = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="kartoteka-bench-") as folder:
        asyncio.run(_measure(options, report, Path(folder)))
    report.save(options.save)
    print(f"\nSaved as {options.save}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
