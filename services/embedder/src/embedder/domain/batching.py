"""Which rows go through the model together.

Padding is what batches waste, so rows of like length go together, and a batch is bounded by its
padded tokens, not by its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from embedder.domain.parsed import TokenIds

__all__ = ["BatchPolicy", "InputIds", "ModelInput", "SubBatch", "fill", "padded_length", "plan"]

InputIds: TypeAlias = NDArray[np.int64]
"""Shape (rows, length), C-contiguous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPolicy:
    """How rows are grouped."""

    token_budget: int = 2048
    """The most padded tokens of a sub-batch: as long as a query may have to wait. One row that is
    longer goes alone."""
    pad_multiple: int = 16
    """Lengths are padded to multiples of it, so that the model sees few different shapes."""
    window_rows: int = 128
    """The most rows that are sorted together."""
    linger_seconds: float = 0.1
    """The longest that a row waits for a window to fill, while others are about to come."""

    def __post_init__(self) -> None:
        if min(self.token_budget, self.pad_multiple, self.window_rows) < 1:
            raise ValueError("budget, padding and window are at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubBatch:
    """Rows that go through the model in one call."""

    rows: tuple[int, ...]
    """Places in the planned sequence of lengths."""
    length: int
    """The padded length of every row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelInput:
    """What the model is called with."""

    ids: InputIds
    mask: InputIds
    """1 where there is a token, 0 where there is padding."""


def padded_length(length: int, *, multiple: int, longest: int) -> int:
    """Return the next multiple of a length, but never more than the model takes.

    Raises:
        ValueError: the length is more than the model takes, or less than 1.
    """
    if not 1 <= length <= longest:
        raise ValueError(f"a row of {length} tokens; the model takes 1 to {longest}")
    return min(-(-length // multiple) * multiple, longest)


def plan(lengths: Sequence[int], policy: BatchPolicy, *, longest: int) -> tuple[SubBatch, ...]:
    """Group rows by length, longest first: every row once, each group within the budget.

    The longest go first because they set the memory that the later groups reuse.

    Args:
        lengths: tokens of each row, specials included.
        policy: the bounds.
        longest: the most tokens of a row that the model takes.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    batches: list[SubBatch] = []
    start = 0
    while start < len(order):
        length = padded_length(lengths[order[start]], multiple=policy.pad_multiple, longest=longest)
        end = start + max(1, policy.token_budget // length)
        batches.append(SubBatch(rows=tuple(order[start:end]), length=length))
        start = end
    return tuple(batches)


def fill(rows: Sequence[TokenIds], length: int, *, pad: int) -> ModelInput:
    """Return rows padded to a length, and their mask."""
    ids = np.full((len(rows), length), pad, dtype=np.int64)
    mask = np.zeros((len(rows), length), dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ModelInput(ids=ids, mask=mask)
