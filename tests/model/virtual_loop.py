"""An event loop without threads, sockets or waiting: time moves only when a test moves it."""

import asyncio
from asyncio import events
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

__all__ = ["LoopClock", "StuckLoopError", "VirtualLoop"]

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_MOST_ROUNDS: Final = 20_000


class StuckLoopError(AssertionError):
    """Tasks keep each other busy for ever."""


class _NoSelector:
    """Nothing is ever read or written."""

    def select(self, _timeout: float | None) -> list[Any]:
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready and stops; the same tasks in the same order, every time."""

    _ready: Any
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._selector = _NoSelector()
        self._seconds = 0.0
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        """Return the virtual seconds."""
        return self._seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let code run that needs a running loop."""
        events._set_running_loop(self)
        try:
            yield
        finally:
            events._set_running_loop(None)

    def settle(self) -> None:
        """Run until every task waits."""
        run_once: Callable[[], None] = self._run_once  # type: ignore[attr-defined] # of the base
        with self.running():
            for _ in range(_MOST_ROUNDS):
                if not self._ready and not self._is_due(self._seconds):
                    return
                run_once()
        raise StuckLoopError(f"no end after {_MOST_ROUNDS} rounds")

    def advance(self, seconds: float) -> None:
        """Let time pass, from one timer to the next."""
        target = self._seconds + seconds
        self.settle()
        while self._is_due(target):
            self._seconds = max(self._seconds, self._scheduled[0].when())
            self.settle()
        self._seconds = target
        self.settle()

    @property
    def next_timer(self) -> float | None:
        """Seconds until something happens by itself; None where nothing will."""
        waiting = [handle.when() for handle in self._scheduled if not handle.cancelled()]
        return max(0.0, min(waiting) - self._seconds) if waiting else None

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Make a task."""
        with self.running():
            return self.create_task(work)

    def _is_due(self, target: float) -> bool:
        return bool(self._scheduled) and self._scheduled[0].when() <= target

    def _process_events(self, _event_list: list[Any]) -> None:
        """Nothing comes from outside."""


class LoopClock:
    """The loop's time as a clock; wall-clock and monotonic time move together."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        """Return the virtual wall-clock time."""
        return _START + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        """Return the virtual seconds."""
        return self._loop.time()
