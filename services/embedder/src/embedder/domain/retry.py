"""When work is tried again, and when it is given up."""

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Bounded, exponential, with jitter."""

    retries: int = 3
    """Tries after the first."""
    base_seconds: float = 60.0
    """Delay before the first retry; it doubles with each."""
    jitter: float = 0.2
    """The share of the delay by which it may be longer: a burst must not come back as one."""

    def next_attempt(self, attempt: int, *, now: datetime, random: float) -> datetime | None:
        """Return when to try again after ``attempt`` (0 is the first) failed; None: give up.

        Args:
            attempt: the try that failed.
            now: the time of its failure.
            random: uniform in [0, 1).
        """
        if attempt >= self.retries:
            return None
        delay = self.base_seconds * 2.0**attempt * (1.0 + self.jitter * random)
        return now + timedelta(seconds=delay)
