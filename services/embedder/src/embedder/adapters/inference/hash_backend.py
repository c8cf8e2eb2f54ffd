"""A model without weights: texts that share words are near each other.

For tests and trials of everything around the model; a search by meaning needs a real one.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from embedder.adapters.tokenizer import HASH_VOCABULARY
from embedder.domain.batching import ModelInput
from embedder.domain.model import ModelSpec
from embedder.domain.vectors import Vectors

__all__ = ["HashBackend", "hash_model"]

_DIMENSION: Final = 384
_CLS: Final = HASH_VOCABULARY
_SEP: Final = HASH_VOCABULARY + 1
_PAD: Final = HASH_VOCABULARY + 2
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)


def hash_model(name: str = "hash") -> ModelSpec:
    """Return the spec that the backend goes with: shaped as a small sentence model is."""
    return ModelSpec(
        name=name,
        dimension=_DIMENSION,
        max_tokens=256,
        prefix=(_CLS,),
        suffix=(_SEP,),
        pad=_PAD,
    )


class HashBackend:
    """Counts each token id in the place that its hash names, and scales the counts to length 1."""

    width = 1

    def load(self) -> None:
        """There is nothing to load."""

    def run(self, batches: Sequence[ModelInput]) -> list[Vectors]:
        """Return one vector a row; the same tokens give the same vector in any batch."""
        return [_vectors(batch) for batch in batches]

    def close(self) -> None:
        """There is nothing to give back."""


def _vectors(batch: ModelInput) -> Vectors:
    counts = np.zeros((len(batch.ids), _DIMENSION), dtype=np.float32)
    places = ((batch.ids.astype(np.uint64) * _MULTIPLIER) >> np.uint64(40)) % np.uint64(_DIMENSION)
    words = (batch.mask == 1) & (batch.ids != _CLS) & (batch.ids != _SEP)
    rows, columns = np.nonzero(words)
    np.add.at(counts, (rows, places[rows, columns]), 1.0)
    weights = np.log1p(counts)  # a word said often should not drown the others
    weights[~words.any(axis=1), 0] = 1.0  # a row without words still has a direction
    return np.ascontiguousarray(weights / np.linalg.norm(weights, axis=1, keepdims=True))
