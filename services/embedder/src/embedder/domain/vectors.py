"""What a model makes of texts."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Embedded", "InputType", "Vectors"]

InputType: TypeAlias = Literal["query", "passage"]
"""What a text is for: many models want another prompt for each."""

Vectors: TypeAlias = NDArray[np.float32]
"""Shape (n, dimension), C-contiguous, rows of length 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedded:
    """Vectors, and what they cost."""

    vectors: Vectors
    tokens: int
    """Of all texts, specials and prompts included."""
