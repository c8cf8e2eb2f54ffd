"""One attempt under way for everybody who needs its outcome."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

__all__ = ["SharedAttempt"]

T = TypeVar("T")


class SharedAttempt(Generic[T]):
    """Joins callers: while a dependency is away they all wait for one try, not each for its own.

    Args:
        attempt: tries once.
    """

    def __init__(self, attempt: Callable[[], Awaitable[T]]) -> None:
        self._attempt = attempt
        self._running: asyncio.Task[T] | None = None

    async def outcome(self) -> T:
        """Return the outcome of the try under way, or of a new one; raises what it raises."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._once(), context=Context())
            self._running.add_done_callback(_retrieve)
        # Shielded: the others still wait when this caller gives up.
        return await asyncio.shield(self._running)

    async def close(self) -> None:
        """Give up the try under way."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _once(self) -> T:
        return await self._attempt()


def _retrieve(task: asyncio.Task[T]) -> None:
    """Mark the error as seen: every caller may have given up before it came."""
    if not task.cancelled():
        task.exception()
