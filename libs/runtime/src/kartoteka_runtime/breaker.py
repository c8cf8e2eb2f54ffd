"""A circuit breaker: after some failures in a row, fail at once and let probes through."""

from kartoteka_runtime.clock import Clock, SystemClock

__all__ = ["Breaker"]


class Breaker:
    """Opens after ``failures`` in a row; while open, admits one probe per ``probe_seconds``.

    The first success closes it. Not thread-safe: it belongs to one event loop.
    """

    def __init__(
        self, *, failures: int, probe_seconds: float = 1.0, clock: Clock | None = None
    ) -> None:
        if failures < 1:
            raise ValueError("failures must be at least 1")
        self._limit = failures
        self._interval = probe_seconds
        self._clock = clock if clock is not None else SystemClock()
        self._failures = 0
        self._next_probe = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once."""
        return self._failures >= self._limit

    @property
    def retry_after(self) -> float:
        """Seconds until the next probe may be made; 0 while closed."""
        return max(0.0, self._next_probe - self._clock.monotonic()) if self.is_open else 0.0

    def admits(self) -> bool:
        """Return whether a call may be made now. While open, a True is a probe: make the call."""
        if not self.is_open:
            return True
        now = self._clock.monotonic()
        if now < self._next_probe:
            return False
        self._next_probe = now + self._interval
        return True

    def succeeded(self) -> None:
        """A call worked: close."""
        self._failures = 0

    def failed(self) -> None:
        """A call failed: count, and open at the limit."""
        was_open = self.is_open
        self._failures += 1
        if self.is_open and not was_open:
            self._next_probe = self._clock.monotonic() + self._interval
