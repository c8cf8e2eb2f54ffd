"""Waiting for what happens in its own time, with a bound."""

import asyncio
import time
from collections.abc import Callable

__all__ = ["eventually"]


async def eventually(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Return as soon as the condition is true.

    Raises:
        AssertionError: it was not within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true in {seconds} s"
        await asyncio.sleep(0.02)
