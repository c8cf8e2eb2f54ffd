"""What a file is, judged by its first bytes; its name only tells kinds of text apart."""

from typing import Final

__all__ = ["HEAD_BYTES", "UNKNOWN", "sniff"]

HEAD_BYTES: Final = 8192
"""How much of a file :func:`sniff` wants to see."""

UNKNOWN: Final = "application/octet-stream"

_PDF_WITHIN: Final = 1024
"""Readers accept a PDF whose header comes this late, so we do."""

_SIGNATURES: Final = (
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/x-msdownload"),
    (b"{\\rtf", "application/rtf"),
    (b"%!PS", "application/postscript"),
    (b"OggS", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
)
_MP4_AT: Final = 4
_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_HTML_STARTS: Final = ("<!doctype html", "<html", "<head", "<body")
_HTML_ENDINGS: Final = (".html", ".htm", ".xhtml")
_MARKDOWN_ENDINGS: Final = (".md", ".markdown", ".mdown", ".mkd")
_TEXT_CONTROLS: Final = frozenset("\t\n\r\f\b\x1b")
_MOST_CONTROLS: Final = 0.02
"""The share of control characters that a real text may have: more is a binary format."""
_WIDE_SHARE: Final = 0.9
_HIGHEST_PLANE: Final = 0x05
"""Latin to Cyrillic: the high bytes that tell UTF-16 without a byte order mark."""


def sniff(head: bytes, filename: str) -> str:
    """Return the media type of a file.

    Args:
        head: its first :data:`HEAD_BYTES` bytes, or all of it.
        filename: tells Markdown and HTML from plain text; never makes text of a binary.

    Returns:
        ``application/pdf``, ``text/html``, ``text/markdown``, ``text/plain``, the type of a known
        binary signature, or :data:`UNKNOWN`.
    """
    if b"%PDF-" in head[:_PDF_WITHIN]:
        return "application/pdf"
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    if head[_MP4_AT : _MP4_AT + 4] == b"ftyp":
        return "video/mp4"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    text = _text(head)
    return UNKNOWN if text is None else _kind_of_text(text, filename.lower())


def _kind_of_text(text: str, filename: str) -> str:
    start = _without_prologue(text).lower()
    if start.startswith(_HTML_STARTS) or filename.endswith(_HTML_ENDINGS):
        return "text/html"
    if start.startswith("<svg"):
        return "image/svg+xml"
    if filename.endswith(_MARKDOWN_ENDINGS):
        return "text/markdown"
    return "text/plain"


def _without_prologue(text: str) -> str:
    """Skip white space, XML declarations and comments, as browsers do before they decide."""
    text = text.lstrip("\ufeff \t\r\n\f")
    for opening, closing in (("<?xml", "?>"), ("<!--", "-->")):
        while text.startswith(opening):
            _, found, rest = text.partition(closing)
            if not found:
                return text
            text = rest.lstrip()
    return text


def _text(head: bytes) -> str | None:
    """Return the head as text, good enough to look at its first tags; None for a binary."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return head.decode(encoding, "replace")
    if 0 in head or _looks_wide(head):
        wide = _wide_encoding(head)
        return None if wide is None else _without_controls(head.decode(wide, "replace"))
    # Every single-byte encoding agrees with Latin-1 on ASCII, and the tags are ASCII.
    return _without_controls(head.decode("latin-1"))


def _without_controls(text: str) -> str | None:
    controls = sum(character < " " and character not in _TEXT_CONTROLS for character in text)
    return None if controls > _MOST_CONTROLS * len(text) else text


def _looks_wide(head: bytes) -> bool:
    return head.count(b"\x04") > len(head) // 4


def _wide_encoding(head: bytes) -> str | None:
    """Return UTF-16 or UTF-32 in either order where the zero (or plane) bytes fall that way."""
    if _share(head[0::4], 0) > _WIDE_SHARE and _share(head[1::4], 0) > _WIDE_SHARE:
        return "utf-32-be"
    if _share(head[2::4], 0) > _WIDE_SHARE and _share(head[3::4], 0) > _WIDE_SHARE:
        return "utf-32-le"
    low_first, high_first = (_share(half, _HIGHEST_PLANE) for half in (head[1::2], head[0::2]))
    if low_first > _WIDE_SHARE > high_first:
        return "utf-16-le"
    if high_first > _WIDE_SHARE > low_first:
        return "utf-16-be"
    return None


def _share(some: bytes, highest: int) -> float:
    return sum(byte <= highest for byte in some) / len(some) if some else 0.0
