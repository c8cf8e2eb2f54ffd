"""Documents to measure with: pages cut out of real manuals, or, without any, made ones."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from itertools import chain, zip_longest
from pathlib import Path
from pydoc_data.topics import topics
from typing import Final

import pypdfium2
from fpdf import FPDF

from tests.bench.manuals import Manual

__all__ = ["Corpus", "cut_corpus", "make_manual"]

_LEAST_WORDS: Final = 200
"""Of a page that is prose: no title page, no list of contents, no blank one."""
_MADE_WORDS: Final = 450
_MADE_PAGES: Final = 300
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_LEADERS: Final = re.compile(r"(?:\. ?){5}")
_MOST_LEADERS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """PDFs by name, and what describes them."""

    documents: dict[str, bytes]
    pages: int
    """Of each document."""
    description: str

    def part(self, first: int, count: int) -> "Corpus":
        """Return some of the documents.

        Raises:
            ValueError: there are fewer.
        """
        names = list(self.documents)[first : first + count]
        if len(names) < count:
            raise ValueError(
                f"the manuals give {len(self.documents)} documents of {self.pages} pages; "
                f"{first + count} were asked for"
            )
        documents = {name: self.documents[name] for name in names}
        size = sum(map(len, documents.values()))
        return Corpus(
            documents=documents,
            pages=self.pages,
            description=f"{count} PDFs of {self.pages} pages, {size} bytes in all; "
            + self.description,
        )


def cut_corpus(folder: Path, manuals: list[Manual], *, pages: int) -> Corpus:
    """Cut documents of consecutive pages out of the manuals, from each in turn.

    No page is in two of them.
    """
    cuts = [list(_cuts(folder / manual.name, pages)) for manual in manuals]
    in_turn = (cut for cut in chain.from_iterable(zip_longest(*cuts)) if cut is not None)
    return Corpus(
        documents=dict(in_turn),
        pages=pages,
        description=f"pages of at least {_LEAST_WORDS} words, each in one document only, cut out "
        f"of {', '.join(manual.name for manual in manuals)} in turn",
    )


def _cuts(path: Path, pages: int) -> Iterator[tuple[str, bytes]]:
    document = pypdfium2.PdfDocument(path)
    try:
        run: list[int] = []
        for index in range(len(document)):
            run = [*run, index] if _is_prose(document, index) else []
            if len(run) == pages:
                yield f"{path.stem}-{run[0] + 1:04d}.pdf", _extract(document, run)
                run = []
    finally:
        document.close()


def _is_prose(document: pypdfium2.PdfDocument, index: int) -> bool:
    text = document[index].get_textpage().get_text_range()
    is_contents = len(_LEADERS.findall(text)) > _MOST_LEADERS
    return not is_contents and len(_WORD.findall(text)) >= _LEAST_WORDS


def _extract(document: pypdfium2.PdfDocument, pages: list[int]) -> bytes:
    part = pypdfium2.PdfDocument.new()
    part.import_pages(document, pages)
    body = io.BytesIO()
    part.save(body)
    part.close()
    return body.getvalue()


def make_manual(folder: Path) -> Manual:
    """Write a manual of Python's own documentation, in one embedded TrueType font."""
    text = " ".join(topics[name] for name in sorted(topics))
    words = re.sub(r"[*`^=~|+_-]{2,}", " ", text.encode("latin-1", "ignore").decode("latin-1"))
    pdf = FPDF()
    with as_file(files("font_lato") / "files" / "Lato-Regular.ttf") as font:
        pdf.add_font("lato", fname=font)
    pdf.set_font("lato", size=10)
    pages = words.split()
    for first in range(0, min(len(pages), _MADE_PAGES * _MADE_WORDS), _MADE_WORDS):
        pdf.add_page()
        pdf.multi_cell(0, 5, " ".join(pages[first : first + _MADE_WORDS]))
    (folder / "made.pdf").write_bytes(bytes(pdf.output()))
    return Manual(name="made.pdf", package="fpdf2", version="", sha256="")
