"""Measure the real stack and its baselines in one run; print the figures and save them as JSON."""

import argparse
import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kartoteka_testkit.stack import Stack
from tests.bench.accepting import measure_accept, measure_searchable, measure_start
from tests.bench.corpus import Corpus, cut_corpus, make_manual
from tests.bench.embedding import embed_alone, measure_embedding
from tests.bench.figures import Report
from tests.bench.manuals import fetch_manuals
from tests.bench.planning import measure_planning
from tests.bench.reading import measure_chunking, measure_reading
from tests.bench.sizes import CHUNK_TOKENS, MODEL_TOKENS, OVERLAP_TOKENS
from tests.bench.throughput import measure_memory, run_naive, run_stack

ROOT = Path(__file__).resolve().parents[2]
_WARM_UP = 8
_CORES = 2
"""Embedders that the comparison runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """What is read, indexed and searched."""

    manuals: list[Path]
    corpus: Corpus
    warm_up: Corpus
    pages: Corpus


def _material(options: argparse.Namespace, report: Report, home: Path, folder: Path) -> _Material:
    """Fetch the manuals and cut the documents; say in the report what they are."""
    report.section("Documents")
    source = home / "bench"
    manuals = fetch_manuals(source)
    if not manuals:
        source, manuals = folder, [make_manual(folder)]
        print("  NO REAL PDFs: apt-get gives none here. Made ones instead, in one TrueType font:")
        print("  other readers are not as slow on them, so the ratios say less.", flush=True)
        report.data["manuals"] = "NOT REAL: made by fpdf2, in one embedded TrueType font"
    else:
        report.data["manuals"] = "; ".join(
            f"{manual.name} of {manual.package} {manual.version}, sha256 {manual.sha256}"
            for manual in manuals
        )
    whole = cut_corpus(source, manuals, pages=3)
    count = min(options.documents, len(whole.documents) - _WARM_UP)
    corpus = whole.part(0, count)
    single = cut_corpus(source, manuals, pages=1)
    count = min(options.pages, len(single.documents))
    pages = single.part(len(single.documents) - count, count)
    print(f"  {corpus.description}", flush=True)
    report.data["documents"] = corpus.description
    report.data["chunks"] = (
        f"on both sides at most {CHUNK_TOKENS} tokens without the special ones, and at most "
        f"{OVERLAP_TOKENS} of overlap; the model reads {MODEL_TOKENS}, special ones included"
    )
    return _Material(
        manuals=[source / manual.name for manual in manuals],
        corpus=corpus,
        warm_up=whole.part(len(corpus.documents), _WARM_UP),
        pages=pages,
    )


def _settings(cache: Path) -> dict[str, str]:
    return {
        "MODEL_BACKEND": "openvino",
        "MODEL_CACHE": str(cache),
        "LOG_LEVEL": "warning",
        "CHUNK_MAX_TOKENS": str(CHUNK_TOKENS),
        "CHUNK_OVERLAP_TOKENS": str(OVERLAP_TOKENS),
        # What tests shorten is here as in production.
        "KAFKA_JOB_PARTITIONS": "24",
        "WORKER_SESSION_TIMEOUT_SECONDS": "15",
        "WORKER_HEARTBEAT_SECONDS": "3",
    }


async def _compare(
    stack: Stack, material: _Material, report: Report, *, folder: Path, passes: int, cache: Path
) -> None:
    """Index the same documents by the stack, by the engines alone and by the naive pipeline."""
    corpus = material.corpus
    to_naive: list[float] = []
    to_alone: list[float] = []
    cpu_to_naive: list[float] = []
    cpu_to_alone: list[float] = []
    for n in range(passes):
        report.section(f"Pass {n + 1}: accepted to searchable, by {_CORES} embedders")
        ours, texts = await run_stack(
            stack, corpus, report, side=f"{_CORES}_embedders", cabinet=10 + n
        )
        report.section(f"Pass {n + 1}: the same chunks, from text to vector, by {_CORES} engines")
        alone = await embed_alone(texts, processes=_CORES, cache=cache)
        report.add_pass("tokens_per_second_engines_alone", ours.tokens / alone.seconds, "1/s")
        report.add_pass("cpu_seconds_engines_alone", alone.cpu, "s")
        to_alone.append(alone.seconds / ours.seconds)
        cpu_to_alone.append(alone.cpu / ours.cpu)
        report.section(f"Pass {n + 1}: the same documents by the naive pipeline")
        theirs = await run_naive(stack, report, folder=folder)
        if theirs.documents != ours.documents:
            raise RuntimeError(f"the naive pipeline indexed {theirs.documents} documents")
        to_naive.append(theirs.seconds / ours.seconds)
        cpu_to_naive.append(theirs.cpu / ours.cpu)
    report.section("Ratios, pass by pass, and their medians")
    report.add("documents_to_naive_pass_by_pass", [round(ratio, 2) for ratio in to_naive])
    report.add("tokens_to_engines_pass_by_pass", [round(ratio, 3) for ratio in to_alone])
    report.add("documents_to_naive", median(to_naive))
    report.add("tokens_to_engines_alone", median(to_alone))
    report.add("documents_to_naive_by_cpu_seconds", median(cpu_to_naive))
    report.add("tokens_to_engines_alone_by_cpu_seconds", median(cpu_to_alone))


async def _measure(options: argparse.Namespace, report: Report, folder: Path) -> None:
    home = Path(os.environ.get("KARTOTEKA_HOME", ROOT / ".kartoteka"))
    material = _material(options, report, home, folder)
    corpus, warm_up = material.corpus, material.warm_up
    pdfs = folder / "pdfs"
    pdfs.mkdir()
    for name, body in corpus.documents.items():
        (pdfs / name).write_bytes(body)
    cache, passes = home / "models", options.passes
    env = _settings(cache)
    async with Stack(folder / "two", embedders=_CORES, env=env) as stack:
        await run_stack(stack, warm_up, Report(), side="warm_up", cabinet=9)
        await measure_searchable(stack, report, material.pages)
        await _compare(stack, material, report, folder=pdfs, passes=passes, cache=cache)
        await measure_accept(stack, report)
        report.section("Peak memory")
        measure_memory(stack, report)
    async with Stack(folder / "one", embedders=1, env=env) as stack:
        report.section("One embedder")
        await run_stack(stack, warm_up, Report(), side="warm_up", cabinet=9)
        await run_stack(stack, corpus, report, side="1_embedder", cabinet=10)
        await measure_start(stack, report)
    report.section("Reading and chunking, in one process, by its own CPU seconds")
    measure_reading(material.manuals, report, passes=passes)
    measure_chunking(corpus, report, folder=pdfs)
    report.section("Embedding alone, beside encode")
    ratio = await measure_embedding(
        report, chunks=options.chunks, passes=passes, processes=_CORES, cache=cache
    )
    report.add("embedder_to_encode", ratio)
    report.section("Planning: one tick of the scheduler, all cabinets due")
    await measure_planning(report, folder=folder / "planning")


def main() -> int:
    """Run the command; see the module's text."""
    parser = argparse.ArgumentParser(prog="make bench BENCH=…", description=__doc__)
    parser.add_argument("--documents", type=int, default=98, help="PDFs of three pages, at most")
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
