"""What parsing makes of a body: chunks, or a verdict."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chunk", "Extraction", "Parsed", "Rejected", "TokenIds"]

TokenIds: TypeAlias = NDArray[np.int32]
"""Token ids of one text, shape (n,), without the model's special tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a document that fits the model."""

    n: int
    """Its place in the document, from 0."""
    text: str
    start: int
    """Offset of its first character in the document's text."""
    end: int
    """Offset behind its last character."""
    page: int | None
    """The page that it starts on, from 1, where the format has pages."""
    tokens: TokenIds


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A body that was read. No chunks: it holds no text (a scanned PDF, say)."""

    chunks: tuple[Chunk, ...]
    characters: int
    parser: str
    """Name and version of what read it."""
    pages: int | None = None
    pages_with_text: int | None = None
    seconds: dict[str, float]
    """Wall-clock seconds of ``parsing`` and ``chunking``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A verdict: this body cannot be indexed, however often it is tried."""

    code: str
    message: str


Extraction: TypeAlias = Parsed | Rejected
