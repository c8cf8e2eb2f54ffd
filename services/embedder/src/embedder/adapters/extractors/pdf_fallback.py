"""PDF by pypdf: slower, and it glues words, but it mends what PDFium gives up."""

import struct
import zlib
from pathlib import Path
from typing import Final

import pypdf
from pypdf import filters
from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

from embedder.adapters.extractors.registry import Progress
from embedder.domain.parsed import Rejected
from embedder.domain.reading import Reading, ReadingBuilder, ReadingLimits

__all__ = ["read"]

_FAILURES: Final = (
    PyPdfError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pypdf raises on damaged files: it trusts the types of what it finds in them."""

# Reading text must start no other program.
filters.JBIG2DEC_BINARY = None


def read(body: Path, limits: ReadingLimits, progress: Progress) -> Reading | Rejected:
    """Return the text of all pages, in order, or the final verdict on a damaged file.

    Raises:
        TextTooLargeError: more text than the limit.
    """
    try:
        reader = pypdf.PdfReader(body)
        if reader.is_encrypted and not reader.decrypt(""):
            return _encrypted()
        pages = len(reader.pages)
    except (DependencyError, FileNotDecryptedError):
        return _encrypted()
    except _FAILURES as error:
        return _malformed(error)
    if pages > limits.max_pages:
        return Rejected(
            code="too_many_pages",
            message=f"The PDF has {pages} pages; the limit is {limits.max_pages}.",
        )
    return _read(reader, pages, limits, progress)


def _read(
    reader: pypdf.PdfReader, pages: int, limits: ReadingLimits, progress: Progress
) -> Reading | Rejected:
    builder = ReadingBuilder(limits.max_characters)
    failed = 0
    last: Exception = ValueError("it has no pages")
    for index in range(pages):
        builder.turn_to(index + 1)
        try:
            text = reader.pages[index].extract_text()
        except DependencyError:
            return _encrypted()
        except _FAILURES as error:
            failed, last = failed + 1, error
            continue
        builder.add(text)
        progress((index + 1) / pages)
    if failed == pages:
        return _malformed(last)
    note = f", {failed} pages unreadable" if failed else ""
    return builder.build(parser=f"pypdf {pypdf.__version__}{note}", pages=pages)


def _encrypted() -> Rejected:
    return Rejected(code="encrypted", message="The PDF needs a password.")


def _malformed(error: Exception) -> Rejected:
    reason = str(error).strip()[:200] or type(error).__name__
    return Rejected(code="malformed", message=f"The PDF cannot be read: {reason}")
