"""One request under way for many callers, each served by one that began after it asked."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

__all__ = ["NextRound"]

T = TypeVar("T")


class NextRound(Generic[T]):
    """Coalesces calls: at most one request runs and one waits, however many ask.

    A caller never gets the answer to a request that began before it asked: that answer may not
    know of what the caller already did.

    Args:
        request: asks anew.
    """

    def __init__(self, request: Callable[[], Awaitable[T]]) -> None:
        self._request = request
        self._running: asyncio.Task[T] | None = None
        self._waiting: asyncio.Task[T] | None = None

    async def ask(self) -> T:
        """Return the answer to a request begun from now on; raises what it raises.

        Raises:
            TimeoutError: closed before the answer came.
        """
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._round(self._running), context=Context())
            self._waiting.add_done_callback(_retrieve)
        # Shielded: one caller that gives up must not take the answer from the others.
        waiting = self._waiting
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if waiting.cancelled() and not (caller and caller.cancelling()):
                raise TimeoutError("closed before the answer came") from None
            raise

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [task for task in (self._running, self._waiting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _round(self, before: asyncio.Task[T] | None) -> T:
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._running, self._waiting = self._waiting, None
        return await self._request()


def _retrieve(task: asyncio.Task[T]) -> None:
    """Mark the error as seen: every caller may have given up before it came."""
    if not task.cancelled():
        task.exception()
