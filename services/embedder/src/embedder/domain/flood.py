"""A flood of dead letters: the sign of a worker that fails whatever it is given."""

from dataclasses import dataclass
from typing import Final

__all__ = ["Flood", "FloodLimit"]

_SUSPICIOUS: Final = frozenset({"unexpected", "embedding_failed", "retries_exhausted"})
"""Reasons that may be the worker's own. A parser's verdict is not among them: whoever uploads
hostile files must not be able to stop a worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodLimit:
    """How many suspicious dead letters may follow each other."""

    in_a_row: int = 20
    """Without any success between them; the next one is not to be written."""


class Flood:
    """Counts them, in one process."""

    def __init__(self, limit: FloodLimit) -> None:
        self._limit = limit
        self.in_a_row = 0
        """Suspicious dead letters since the last success."""

    def admits(self, reason: str) -> bool:
        """Return whether a dead letter may be written, and count it; False stops the worker.

        It counts before it is written, so that work under way at once stays within the limit.
        """
        if reason not in _SUSPICIOUS:
            return True
        if self.in_a_row >= self._limit.in_a_row:
            return False
        self.in_a_row += 1
        return True

    def succeeded(self) -> None:
        """Some work was done: the worker is well."""
        self.in_a_row = 0
