"""Documents to measure with: prose of Python's own documentation, as PDFs."""

import re
from dataclasses import dataclass
from pydoc_data.topics import topics

from fpdf import FPDF

__all__ = ["Corpus", "make_corpus", "one_page"]

_WORDS_A_PAGE = 380


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """PDFs by name, and what describes them."""

    documents: dict[str, bytes]
    pages: int

    @property
    def description(self) -> str:
        """One line for the report."""
        size = sum(map(len, self.documents.values()))
        return (
            f"{len(self.documents)} PDFs of {self.pages} pages, about {_WORDS_A_PAGE} words a "
            f"page, {size} bytes in all, one core font, no images; text: the topics of Python's "
            "pydoc_data"
        )


def _words() -> list[str]:
    text = " ".join(topics[name] for name in sorted(topics))
    plain = text.encode("latin-1", "ignore").decode("latin-1")
    return re.sub(r"[*`^=~|+_-]{2,}", " ", plain).split()


def _pdf(words: list[str], pages: int) -> bytes:
    pdf = FPDF()
    pdf.set_font("helvetica", size=10)
    for page in range(pages):
        pdf.add_page()
        pdf.multi_cell(0, 5, " ".join(words[page * _WORDS_A_PAGE : (page + 1) * _WORDS_A_PAGE]))
    return bytes(pdf.output())


def make_corpus(count: int, *, pages: int = 3, offset: int = 0) -> Corpus:
    """Return ``count`` PDFs; each holds text of its own as long as the documentation lasts."""
    words = _words()
    documents: dict[str, bytes] = {}
    for n in range(count):
        first = ((offset + n) * pages * _WORDS_A_PAGE) % (len(words) - pages * _WORDS_A_PAGE)
        documents[f"bench-{offset + n:04d}.pdf"] = _pdf(words[first:], pages)
    return Corpus(documents=documents, pages=pages)


def one_page(n: int) -> bytes:
    """Return a PDF of one page, each ``n`` another."""
    words = _words()
    first = (n * _WORDS_A_PAGE) % (len(words) - _WORDS_A_PAGE)
    return _pdf([f"number{n}", *words[first:]], 1)
