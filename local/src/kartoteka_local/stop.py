"""Signals: the first asks for an orderly stop, the second for a quick one."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from kartoteka_local.console import Console

__all__ = ["patience"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@asynccontextmanager
async def patience(console: Console, *, out_of: Callable[[], None]) -> AsyncIterator[asyncio.Event]:
    """Give an event that the first signal sets; every further one calls ``out_of``."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def received() -> None:
        if stop.is_set():
            console.say("Stopping at once.")
            out_of()
            return
        console.say(
            "\nStopping: what is being worked on is finished or goes on next time. "
            "Once more stops at once."
        )
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, received)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
