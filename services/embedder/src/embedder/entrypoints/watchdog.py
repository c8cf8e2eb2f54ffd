"""The last resort: a thread that ends a process whose event loop stands still."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from kartoteka_runtime.logs import get_logger

__all__ = ["EXIT_LATE", "EXIT_STUCK", "LoopBeat", "Watchdog"]

_log = get_logger(__name__)

EXIT_STUCK: Final = 70
"""The exit code of a process whose loop stood still."""
EXIT_LATE: Final = 75
"""The exit code of a process that did not manage to stop in time."""

_BEAT_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 1.0


class LoopBeat:
    """Beats on the event loop, and measures how late it beats."""

    def __init__(self) -> None:
        self.count = 0
        self.lag = 0.0
        """Seconds by which the last beat was late."""

    async def run(self) -> None:
        """Beat for ever."""
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            await asyncio.sleep(_BEAT_SECONDS)
            self.lag = max(0.0, loop.time() - asked - _BEAT_SECONDS)
            self.count += 1


class Watchdog:
    """Ends the process, hard, when the loop has not beaten for ``seconds``.

    What was not acknowledged is delivered again, so ending is always safe.

    Args:
        beat: of the loop to watch.
        seconds: how long it may stand still.
        end: ends the process with an exit code.
    """

    def __init__(
        self, beat: LoopBeat, *, seconds: float, end: Callable[[int], None] = os._exit
    ) -> None:
        self._beat = beat
        self._seconds = seconds
        self._end = end
        self._stop = threading.Event()
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()

    def expect_end(self, seconds: float) -> None:
        """End the process if it is still there after so many seconds."""
        self._deadline = time.monotonic() + seconds

    def _watch(self) -> None:
        seen, still, before = -1, 0.0, time.monotonic()
        while not self._stop.wait(min(_LOOK_SECONDS, self._seconds / 4)):
            now = time.monotonic()
            # A suspended process has stood still as a whole, which is no fault of the loop's:
            # such a gap counts as one look.
            still += min(now - before, 2 * _LOOK_SECONDS)
            before = now
            if self._beat.count != seen:
                seen, still = self._beat.count, 0.0
            if still > self._seconds:
                _log.critical("event_loop_stuck", seconds=round(still, 1))
                self._end(EXIT_STUCK)
            if self._deadline is not None and now > self._deadline:
                _log.critical("stop_took_too_long")
                self._end(EXIT_LATE)
