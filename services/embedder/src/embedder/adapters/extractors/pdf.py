"""PDF by PDFium, which is fast and joins words well, and which hostile files can abort."""

import re
from pathlib import Path
from typing import Final

import pypdfium2

from embedder.adapters.extractors.registry import Progress
from embedder.domain.parsed import Rejected
from embedder.domain.reading import Reading, ReadingBuilder, ReadingLimits, Unreadable

__all__ = ["read"]

_PASSWORD_ERRORS: Final = frozenset({4, 5})
"""FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY."""

_HYPHEN: Final = re.compile("[\ufffe\x02](?:\r?\n)?")
"""What PDFium puts where a hyphen at a line end parted a word."""


def read(body: Path, limits: ReadingLimits, progress: Progress) -> Reading | Rejected | Unreadable:
    """Return the text of all pages, in order.

    A document whose password only keeps others from changing it is read.

    Raises:
        TextTooLargeError: more text than the limit.
    """
    try:
        document = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in _PASSWORD_ERRORS:
            return Rejected(code="encrypted", message="The PDF needs a password.")
        return Unreadable(message=str(error))
    try:
        return _read(document, limits, progress)
    finally:
        document.close()


def _read(
    document: pypdfium2.PdfDocument, limits: ReadingLimits, progress: Progress
) -> Reading | Rejected | Unreadable:
    pages = len(document)
    if pages > limits.max_pages:
        return Rejected(
            code="too_many_pages",
            message=f"The PDF has {pages} pages; the limit is {limits.max_pages}.",
        )
    builder = ReadingBuilder(limits.max_characters)
    failed = 0
    for index in range(pages):
        builder.turn_to(index + 1)
        try:
            builder.add(_page_text(document, index))
        except pypdfium2.PdfiumError:
            failed += 1
        progress((index + 1) / pages)
    if pages and failed * 2 >= pages:
        return Unreadable(message=f"{failed} of {pages} pages cannot be read")
    note = f", {failed} pages unreadable" if failed else ""
    return builder.build(parser=f"pypdfium2 {pypdfium2.PYPDFIUM_INFO}{note}", pages=pages)


def _page_text(document: pypdfium2.PdfDocument, index: int) -> str:
    page = document[index]
    try:
        text_page = page.get_textpage()
        try:
            return _HYPHEN.sub("", str(text_page.get_text_range()))
        finally:
            text_page.close()
    finally:
        page.close()
