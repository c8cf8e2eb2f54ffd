"""Cleaning of text: done once, where it is extracted, so that every later stage can trust it."""

import re
import unicodedata
from functools import cache
from typing import Final

__all__ = ["TEXT_REVISION", "clean"]

TEXT_REVISION: Final = 1
"""Raised whenever :func:`clean` gives another text, so that documents are read again."""

_LINE_ENDS: Final = re.compile("[\r\v\f\x85\u2028\u2029]")
_WIDE_SPACES: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_UNSEEN: Final = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls, but for tab, line ends and spaces
    "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f"  # zero-width, direction marks, tags: hide words from a search
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"  # lone surrogates, non-characters: not encodable
    "\ue000-\uf8ff\U000f0000-\U0010ffff"  # private use: glyphs of one font
    "]+"
)
# Each begins with one character out of a set: the search for that is what costs.
_LONG_GAP: Final = re.compile(r"[ \t][ \t]{31,}")
_MAYBE_MARKS: Final = re.compile("[\u0300-\U0001efff][\u0300-\U0001efff]{16,}")
_BLANK_LINES: Final = re.compile(r"\n{3,}")


def clean(text: str) -> str:
    r"""Return text that can be shown, encoded as UTF-8 and compared.

    Line ends become ``\n``; controls, lone surrogates and what has no width go; all spaces but the
    tab become the plain one; what is left is in Unicode NFC, with at most 16 marks on one letter.
    Spaces at line ends, more than one blank line, and blank lines at both ends of the text go too.
    Cleaning twice changes nothing.
    """
    text = _LINE_ENDS.sub("\n", text.replace("\r\n", "\n"))
    text = _UNSEEN.sub("", text)
    if not text.isascii():
        text = _MAYBE_MARKS.sub(_shortened, _WIDE_SPACES.sub(" ", text))
        text = unicodedata.normalize("NFC", text)
    text = _LONG_GAP.sub(" ", text)
    # Not by one expression: spaces before a line end, searched for, take quadratic time.
    text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def _shortened(found: re.Match[str]) -> str:
    return _marks().sub(r"\1", found[0])


@cache
def _marks() -> re.Pattern[str]:
    # Putting marks into canonical order takes quadratic time in the length of their run.
    marks = "".join(filter(unicodedata.combining, map(chr, range(0x300, 0x1F000))))
    return re.compile(f"([{marks}]{{16}})[{marks}]+")
