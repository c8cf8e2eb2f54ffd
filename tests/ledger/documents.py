"""What clients upload: files of all sizes, each with a word of its own; a few are broken."""

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from kartoteka_testkit import hostile_pdf

__all__ = ["CANARY", "File", "canary_of", "make_file"]

CANARY: Final = re.compile(r"zq[0-9a-f]+n[0-9a-f]+q")
"""A word that says which operation of which run a text is of."""

_SMALLEST: Final = 1024
_LARGEST: Final = 5 * 1024 * 1024
_MOST_TEXT: Final = 96 * 1024
"""Beyond it a file grows by what holds no text: pieces cost, bytes are what is tried here."""
_SMALL_SHARE: Final = 0.88
_SMALL: Final = 12 * 1024
_SENTENCE: Final = 9
_WORDS: Final = (
    "archive",
    "basin",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "garden",
    "harbour",
    "island",
    "juniper",
    "kettle",
    "lantern",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file to upload."""

    filename: str
    body: bytes
    canary: str
    """In every sentence; empty where nothing can be read."""
    is_hostile: bool

    @property
    def sha256(self) -> str:
        """Of the bytes."""
        return hashlib.sha256(self.body).hexdigest()


def canary_of(seed: int, n: int) -> str:
    """Return the word of an operation."""
    return f"zq{seed:x}n{n:x}q"


def make_file(
    random: Random, seed: int, n: int, *, hostile_share: float, largest: int = _LARGEST
) -> File:
    """Return a file whose name and text name the operation; a good one has ``largest`` bytes."""
    if random.random() < hostile_share:
        ending, body = _hostile(random)
        return File(filename=f"f{n:x}{ending}", body=body, canary="", is_hostile=True)
    canary = canary_of(seed, n)
    size = _size(random, largest)
    text = _text(random, canary, min(size, _MOST_TEXT))
    ending, body = _dressed(random, canary, text, filler=random.randbytes(max(0, size - len(text))))
    return File(filename=f"f{n:x}{ending}", body=body, canary=canary, is_hostile=False)


def _size(random: Random, largest: int) -> int:
    """Return bytes: mostly few, spread evenly by their logarithm."""
    low, high = (_SMALLEST, _SMALL) if random.random() < _SMALL_SHARE else (_SMALL, largest)
    return int(math.exp(random.uniform(math.log(low), math.log(high))))


def _text(random: Random, canary: str, size: int) -> str:
    sentences: list[str] = []
    length = 0
    while length < size:
        words = " ".join(random.choices(_WORDS, k=_SENTENCE))
        sentences.append(f"{canary} {words}.")
        length += len(sentences[-1]) + 1
    return "\n".join(sentences)


def _dressed(random: Random, canary: str, text: str, *, filler: bytes) -> tuple[str, bytes]:
    if filler or random.random() < 0.1:
        page = f"<html><body><p>{text}</p><!-- {filler.hex()[: len(filler)]} --></body></html>"
        return ".html", page.encode()
    match random.random():
        case share if share < 0.7:
            return ".txt", text.encode()
        case share if share < 0.9:
            return ".md", f"# About {canary}\n\n{text}\n".encode()
        case _:
            return ".pdf", hostile_pdf.plain(text[: 8 * _SMALLEST])


_HOSTILE: Final[tuple[Callable[[], bytes], ...]] = (
    hostile_pdf.truncated,
    hostile_pdf.no_pages,
    hostile_pdf.pages_cycle,
    lambda: hostile_pdf.nested_arrays(20_000),
    lambda: hostile_pdf.flate_bomb(32 << 20),
    hostile_pdf.polyglot,
)


def _hostile(random: Random) -> tuple[str, bytes]:
    if random.random() < 1 / (1 + len(_HOSTILE)):
        return ".bin", b"\0" + random.randbytes(4096)
    return ".pdf", random.choice(_HOSTILE)()
