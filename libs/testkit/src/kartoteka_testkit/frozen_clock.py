"""Time that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["FrozenClock"]

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class FrozenClock:
    """A clock. ``monotonic`` and ``now`` move together, by :meth:`advance` only."""

    def __init__(self, now: datetime = _START) -> None:
        self._start = now
        self._seconds = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Let time pass; never back."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._seconds += seconds
