"""Pages per second and words found, ours beside other readers; chunking beside tokenizing alone.

In one process each, in seconds of its own CPU: what else the machine does does not count.
"""

import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import pymupdf
from pypdf import PdfReader

from embedder.adapters.extractors import pdf
from embedder.adapters.tokenizer import FileTokenizer
from embedder.domain.chunking import ChunkPolicy, cut
from embedder.domain.reading import Reading, ReadingLimits
from embedder.domain.text import clean
from tests.bench.chunks import MODEL_FOLDER
from tests.bench.corpus import Corpus
from tests.bench.figures import Report
from tests.bench.sizes import CHUNK_TOKENS, OVERLAP_TOKENS

__all__ = ["measure_chunking", "measure_reading"]

_LIMITS: Final = ReadingLimits(max_characters=50_000_000, max_pages=5000)
_CHUNKING_PASSES: Final = 7
_FLAGS: Final = (
    pymupdf.TEXT_DEHYPHENATE | pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
)


def measure_reading(paths: list[Path], report: Report, *, passes: int) -> None:
    """Read each manual by every reader in turn: once by pypdf, which takes the most time."""
    ours = theirs = 0.0
    pages = words = found = 0
    by_manual: dict[str, list[float]] = {}
    for path in paths:
        spent = median(_seconds(partial(_read, path)) for _ in range(passes))
        pypdf_spent = _seconds(partial(_pypdf, path))
        own = list(_pages(_read(path)))
        wanted = [_words(text) for text in _pymupdf(path)]
        met = sum((want & have).total() for want, have in zip(wanted, own, strict=True))
        of = sum(want.total() for want in wanted)
        by_manual[path.name] = [len(own), round(pypdf_spent / spent, 1), round(met / of, 4)]
        ours, theirs, pages = ours + spent, theirs + pypdf_spent, pages + len(own)
        words, found = words + of, found + met
    report.add("pages_per_second", pages / ours, "1/s")
    report.add("pypdf_pages_per_second", pages / theirs, "1/s")
    report.add("pages_to_pypdf", theirs / ours)
    report.add("words_found_of_pymupdf", found / words)
    for name, figures in by_manual.items():
        report.add(f"pages, to pypdf, words of {name}", figures)
    report.data["words_found_of_pymupdf"] = (
        f"{words} words, parted by white space, after NFKC and casefold; of each page those that "
        "both readers found, as often as both did, to those that pymupdf found"
    )


def measure_chunking(corpus: Corpus, report: Report, *, folder: Path) -> None:
    """Cut every document of the corpus, and tokenize it without cutting."""
    readings = [_read(folder / name) for name in corpus.documents]
    tokenizer = FileTokenizer(MODEL_FOLDER / "tokenizer.json")
    policy = ChunkPolicy(max_tokens=CHUNK_TOKENS, overlap_tokens=OVERLAP_TOKENS)
    for reading in readings:  # the tokenizer remembers words
        tokenizer.encode(reading.text)
    floors: list[float] = []
    wholes: list[float] = []
    for _ in range(_CHUNKING_PASSES):
        floors.append(_seconds(lambda: [tokenizer.encode(reading.text) for reading in readings]))
        wholes.append(
            _seconds(
                lambda: [
                    cut(reading, tokenizer.encode(reading.text), policy) for reading in readings
                ]
            )
        )
    size = sum(len(reading.text) for reading in readings)
    # The least disturbed pass of each: neighbours that empty the caches cost CPU seconds too.
    report.add("chunker_megabytes_per_second", size / min(wholes) / 1e6, "MB/s")
    report.add("chunker_to_tokenizing_alone", min(floors) / min(wholes))


def _read(path: Path) -> Reading:
    reading = pdf.read(path, _LIMITS, lambda _share: None)
    if not isinstance(reading, Reading):
        raise TypeError(f"{path} could not be read: {reading}")
    return reading


def _pages(reading: Reading) -> Iterator[Counter[str]]:
    """The words of every page; of those without text, none."""
    starts = [(start.page, start.offset) for start in reading.page_starts]
    ends = pairwise([*starts, (0, len(reading.text))])
    texts = {page: reading.text[start:end] for (page, start), (_, end) in ends}
    for page in range(1, (reading.pages or 0) + 1):
        yield _words(texts.get(page, ""))


def _words(text: str) -> Counter[str]:
    return Counter(unicodedata.normalize("NFKC", clean(text)).casefold().split())


def _pypdf(path: Path) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(path).pages)


def _pymupdf(path: Path) -> list[str]:
    with pymupdf.open(path) as document:
        return [str(page.get_text("text", flags=_FLAGS)) for page in document]


def _seconds(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun
