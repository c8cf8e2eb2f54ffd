"""What the use cases need of the world."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from scheduler.domain.register import Register

__all__ = ["EventLog", "Journal", "Lock", "LockError", "State"]


class LockError(Exception):
    """Whoever keeps the lock is away, or refuses us; the message says which."""


class EventLog(Protocol):
    """Where events go."""

    async def send(
        self, topic: str, *, key: str, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> object:
        """Send one record and wait until it is durable.

        Raises:
            UnavailableError: it is not, or nobody knows.
        """
        ...


class State(Protocol):
    """What the compacted topics hold."""

    async def watermark(self) -> datetime | None:
        """Return up to when all slots are emitted; None where nothing ever was.

        Raises:
            UnavailableError: it cannot be read.
        """
        ...

    async def cabinets(self) -> Register:
        """Return all cabinets.

        Raises:
            UnavailableError: they cannot be read to their end.
        """
        ...


class Lock(Protocol):
    """Lets one of several schedulers work at a time.

    It spares work and is no guarantee: what two of them emit for one slot is one run.
    """

    @property
    def seconds(self) -> float:
        """How long it is held from each :meth:`acquire`."""
        ...

    async def acquire(self) -> bool:
        """Take it, or hold it for longer. False: another holds it.

        Raises:
            LockError: nobody knows.
        """
        ...

    async def release(self) -> None:
        """Let it go, if it is ours; others need not wait for its end.

        Raises:
            LockError: it may still be held.
        """
        ...


class Journal(Protocol):
    """Where operators see what was done."""

    async def emitted(self, cabinets: int) -> None:
        """Tell how many cabinets' runs were asked for. Best effort: never raises."""
        ...
