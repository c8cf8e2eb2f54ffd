"""PDF files made to break parsers, written byte by byte."""

import io
import zlib

import pypdf
from fpdf import FPDF

__all__ = [
    "assembled",
    "encrypted",
    "flate_bomb",
    "nested_arrays",
    "no_pages",
    "pages_cycle",
    "plain",
    "polyglot",
    "truncated",
]


def plain(*pages: str) -> bytes:
    """An ordinary document."""
    document = FPDF()
    document.set_font("Helvetica", size=12)
    for page in pages:
        document.add_page()
        document.multi_cell(0, 6, page)
    return bytes(document.output())


def assembled(*objects: bytes) -> bytes:
    """A document of these objects, numbered from 1; the first is the catalog."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def flate_bomb(size: int) -> bytes:
    """One page whose content is ``size`` bytes, packed twice."""
    inner = zlib.compressobj(9)
    block = b" " * (1 << 20)
    packed = b"".join(inner.compress(block) for _ in range(size >> 20)) + inner.flush()
    content = zlib.compress(packed, 9)
    stream = b"<</Length %d/Filter[/FlateDecode/FlateDecode]>>\nstream\n%s\nendstream" % (
        len(content),
        content,
    )
    return assembled(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R>>",
        stream,
    )


def nested_arrays(depth: int) -> bytes:
    """A page dictionary with arrays in arrays."""
    return assembled(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/X " + b"[" * depth + b"]" * depth + b">>",
    )


def no_pages() -> bytes:
    """A page tree without leaves."""
    return assembled(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>")


def pages_cycle() -> bytes:
    """A page tree whose branches hold each other."""
    return assembled(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 9>>",
        b"<</Type/Pages/Kids[2 0 R 3 0 R]/Count 9/Parent 2 0 R>>",
    )


def encrypted(user: str, owner: str) -> bytes:
    """A document with passwords; it can be read where the user's is empty."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(plain("Protected words")))
    writer.encrypt(user, owner, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def truncated() -> bytes:
    """The first half of a document."""
    whole = plain("Some words", "on two pages")
    return whole[: len(whole) // 2]


def polyglot() -> bytes:
    """A document that is HTML to whoever looks at its first bytes, and ends as a ZIP archive."""
    return b"<html><script>x()</script>\n" + plain("Real words") + b"PK\x05\x06" + b"\0" * 18
