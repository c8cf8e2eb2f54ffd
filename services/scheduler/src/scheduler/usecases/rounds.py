"""Ticks, one after the other, for as long as the process lives."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger
from scheduler.ports import LockError
from scheduler.usecases.tenure import LostLockError
from scheduler.usecases.tick import Tick, TickFigures

__all__ = ["Rounds"]

_log = get_logger(__name__)

_AGAIN_SECONDS: Final = 5.0
"""After a failure, where rounds are farther apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """Ticks every so often, through outages.

    Args:
        every: seconds from the begin of one tick to the next.
        limit: seconds after which a tick is given up; the next one completes it.
        told: called after each tick with its figures, its seconds and its failure.
    """

    tick: Tick
    clock: Clock
    every: float
    limit: float
    told: Callable[[TickFigures, float, str | None], None]

    async def run(self) -> NoReturn:
        """Go on until cancelled; a tick under way is then left to the next start."""
        while True:
            began, figures = self.clock.monotonic(), TickFigures()
            failure = await self._tick(figures)
            seconds = self.clock.monotonic() - began
            self.told(figures, seconds, failure)
            pause = self.every - seconds if failure is None else min(_AGAIN_SECONDS, self.every)
            await asyncio.sleep(max(0.0, pause))

    async def _tick(self, figures: TickFigures) -> str | None:
        try:
            async with asyncio.timeout(self.limit):
                await self.tick.run(figures)
        except TimeoutError:
            return f"the tick took longer than {self.limit:g} s"
        except (KartotekaError, LockError, LostLockError) as error:
            return str(error)
        except OSError as error:  # a TLS file that cannot be read at this moment
            return repr(error)
        return None
