"""Text as a model's tokenizer sees it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embedder.domain.parsed import TokenIds

__all__ = ["Tokenized", "Tokenizer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenized:
    """The tokens of one text, in order. The three arrays have equal length."""

    ids: TokenIds
    starts: NDArray[np.int32]
    """Offset of each token's first character; never falls."""
    ends: NDArray[np.int32]
    """Offset behind each token's last character."""


class Tokenizer(Protocol):
    """Turns text into a model's token ids, without special tokens."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same text would give other tokens."""
        ...

    def encode(self, text: str) -> Tokenized:
        """Return all tokens of a text, however long it is: nothing is truncated."""
        ...
