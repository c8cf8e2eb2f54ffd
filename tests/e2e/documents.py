"""Documents that the run uploads."""

import os
from io import BytesIO

from fpdf import FPDF
from pypdf import PdfReader, PdfWriter

__all__ = ["large_pdf", "pdf"]


def pdf(*pages: str) -> bytes:
    """Return a PDF with a text on each page."""
    document = FPDF()
    document.set_font("Helvetica", size=12)
    for text in pages:
        document.add_page()
        document.multi_cell(0, 6, text)
    return bytes(document.output())


def large_pdf(size: int, text: str) -> bytes:
    """Return a PDF of at least ``size`` bytes whose one page says ``text``.

    The bytes are an attachment that does not compress, as scans and pictures do not.
    """
    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf(text))))
    writer.add_attachment("ballast.bin", os.urandom(size))
    whole = BytesIO()
    writer.write(whole)
    return whole.getvalue()
