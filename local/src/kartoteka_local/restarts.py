"""When a child that died is started again, and when that is given up."""

from collections import deque
from dataclasses import dataclass, field

from kartoteka_runtime.backoff import Backoff

__all__ = ["RestartHistory", "RestartPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How much dying is too much."""

    limit: int = 5
    """Deaths within the window, or in a row without ever being ready, that end the stack."""
    window: float = 60.0
    """Seconds."""
    backoff: Backoff = field(
        default_factory=lambda: Backoff(base=0.5, factor=2.0, limit=10.0, jitter=0.0)
    )


@dataclass(slots=True, kw_only=True)
class RestartHistory:
    """One child's deaths so far."""

    policy: RestartPolicy
    _deaths: deque[float] = field(default_factory=deque)
    _in_a_row: int = 0

    def died(self, now: float, *, was_ready: bool) -> float | None:
        """Return the seconds to wait before the next start; None: give up.

        Args:
            now: monotonic seconds.
            was_ready: whether this life of the child had reached readiness.
        """
        self._in_a_row = 1 if was_ready else self._in_a_row + 1
        self._deaths.append(now)
        while self._deaths[0] <= now - self.policy.window:
            self._deaths.popleft()
        if max(len(self._deaths), self._in_a_row) >= self.policy.limit:
            return None
        return self.policy.backoff.delay(max(len(self._deaths), self._in_a_row) - 1)
