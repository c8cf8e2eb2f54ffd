"""The seam between batching and the library that multiplies the matrices."""

from collections.abc import Sequence
from typing import Protocol

from embedder.domain.batching import ModelInput
from embedder.domain.vectors import Vectors

__all__ = ["Backend"]


class Backend(Protocol):
    """A model that is or can be loaded. Used by one thread only, the one that called ``load``."""

    @property
    def width(self) -> int:
        """How many batches it works on at the same time: the cores that it may use."""
        ...

    def load(self) -> None:
        """Load the model and run each usual shape once. Blocks for seconds."""
        ...

    def run(self, batches: Sequence[ModelInput]) -> list[Vectors]:
        """Return vectors of length 1 for each batch, in order; at most ``width`` batches.

        May raise whatever its library raises: the engine turns it into an answer to the callers.
        """
        ...

    def close(self) -> None:
        """Give the memory back. Also called when loading failed."""
        ...
