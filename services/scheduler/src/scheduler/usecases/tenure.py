"""Holding the lock while work goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger
from scheduler.ports import Lock, LockError

__all__ = ["LostLockError", "Tenure", "hold"]

_log = get_logger(__name__)

_RENEWALS: float = 3.0
"""Times that it is renewed in the time for which it is held: two may fail."""


class LostLockError(Exception):
    """The lock was lost while work went on; whoever has it now completes the work."""


class Tenure:
    """The lock, as long as it is ours."""

    def __init__(self, lock: Lock, clock: Clock, *, since: float) -> None:
        self._lock = lock
        self._clock = clock
        self._until = since + lock.seconds
        self._is_lost = False

    @property
    def is_ours(self) -> bool:
        """Whether it is held still. Once it is not, it never is again."""
        if self._clock.monotonic() >= self._until:
            self._is_lost = True
        return not self._is_lost

    def check(self) -> None:
        """Return if the lock is ours.

        Raises:
            LostLockError: it no longer is.
        """
        if not self.is_ours:
            raise LostLockError("the lock was lost: another scheduler goes on from here")

    async def renew(self) -> None:
        """Renew it until it is lost."""
        while self.is_ours:
            await asyncio.sleep(self._lock.seconds / _RENEWALS)
            asked = self._clock.monotonic()
            try:
                is_ours = await self._lock.acquire()
            except LockError as error:
                _log.warning("lock_not_renewed", reason=str(error))
                continue
            if not is_ours:
                self._is_lost = True
            elif self.is_ours:
                # From the question, not the answer: the keeper counts from somewhere between.
                self._until = asked + self._lock.seconds
        _log.warning("lock_lost")


@asynccontextmanager
async def hold(lock: Lock, clock: Clock) -> AsyncIterator[Tenure | None]:
    """Take the lock for the length of a block; None where another has it.

    Raises:
        LockError: nobody knows who has it.
    """
    asked = clock.monotonic()
    if not await lock.acquire():
        yield None
        return
    tenure = Tenure(lock, clock, since=asked)
    renewing = asyncio.create_task(tenure.renew(), name="lock-renewal")
    try:
        yield tenure
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])
        try:
            await lock.release()
        except LockError as error:
            _log.warning("lock_not_released", reason=str(error), held_seconds=lock.seconds)
