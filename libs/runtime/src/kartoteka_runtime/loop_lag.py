"""How late an event loop gets to what is due: whoever blocks it makes everybody wait."""

import asyncio
from collections import deque
from typing import Final

from kartoteka_runtime.metrics import Metrics

__all__ = ["LoopLag"]

_EVERY: Final = 0.5
_KEPT: Final = 120
"""Measurements: a minute of them, so that no scrape misses a pause between two."""


class LoopLag:
    """Measures the running loop's lag, for the gauge ``event_loop_lag_seconds``.

    Args:
        metrics: of the process.
        every: seconds between two measurements.
    """

    def __init__(self, metrics: Metrics, *, every: float = _EVERY) -> None:
        self._every = every
        self._late = deque[float](maxlen=_KEPT)
        metrics.gauge(
            "event_loop_lag_seconds",
            "Seconds by which the event loop was late, at worst within the last minute",
        ).set_function(lambda: self.worst)

    @property
    def worst(self) -> float:
        """Seconds, at worst within the last minute; 0 before the first measurement."""
        return max(self._late, default=0.0)

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            await asyncio.sleep(self._every)
            self._late.append(max(0.0, loop.time() - asked - self._every))
