"""Pages per second, ours and pypdf's; chunking beside tokenizing alone."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from pypdf import PdfReader

from embedder.adapters.extractors import pdf
from embedder.adapters.tokenizer import FileTokenizer
from embedder.domain.chunking import ChunkPolicy, cut
from embedder.domain.reading import Reading, ReadingLimits
from tests.bench.chunks import MODEL_FOLDER
from tests.bench.corpus import Corpus
from tests.bench.figures import Report

__all__ = ["measure_reading"]

_LIMITS = ReadingLimits(max_characters=20_000_000, max_pages=5000)


def measure_reading(corpus: Corpus, report: Report, *, folder: Path, passes: int) -> None:
    """Read every PDF by both readers, alternately, in this one process."""
    paths = [folder / name for name in corpus.documents]
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(passes):
        ours.append(_seconds(lambda: [_read(path) for path in paths]))
        theirs.append(_seconds(lambda: [_pypdf(path) for path in paths[: len(paths) // 8]]) * 8)
    pages = len(paths) * corpus.pages
    report.add("pages_per_second", pages / median(ours), "1/s")
    report.add("pypdf_pages_per_second", pages / median(theirs), "1/s")
    report.add("pages_to_pypdf", median(theirs) / median(ours))
    _measure_chunking([_read(path) for path in paths], report, passes=passes)


def _measure_chunking(readings: list[Reading], report: Report, *, passes: int) -> None:
    tokenizer = FileTokenizer(MODEL_FOLDER / "tokenizer.json")
    policy = ChunkPolicy(max_tokens=254, overlap_tokens=0)
    floor = median(
        _seconds(lambda: [tokenizer.encode(reading.text) for reading in readings])
        for _ in range(passes)
    )
    whole = median(
        _seconds(
            lambda: [cut(reading, tokenizer.encode(reading.text), policy) for reading in readings]
        )
        for _ in range(passes)
    )
    size = sum(len(reading.text) for reading in readings)
    report.add("chunker_megabytes_per_second", size / whole / 1e6, "MB/s")
    report.add("chunker_to_tokenizing_alone", floor / whole)


def _read(path: Path) -> Reading:
    reading = pdf.read(path, _LIMITS, lambda _share: None)
    if not isinstance(reading, Reading):
        raise TypeError(f"{path} could not be read: {reading}")
    return reading


def _pypdf(path: Path) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(path).pages)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
