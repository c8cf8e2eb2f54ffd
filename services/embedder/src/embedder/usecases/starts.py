"""Tries that began and never ended: the sign of a document that takes its worker down."""

import asyncio
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

from embedder.domain.job import Lease
from embedder.ports import ChunkIndex
from embedder.usecases.work_try import WorkTry
from kartoteka_contracts.errors import UnavailableError
from kartoteka_index.manifest import Starts

__all__ = ["CountStarts"]

_MOST_BEGUN: Final = 5
_MOST_KILLED: Final = 2
_TAKE_BACK_SECONDS: Final = 2.0


class CountStarts:
    """Counts the tries at a work in its document's manifest, once for each delivery.

    A try that waits out an outage in its place is still the same start.
    """

    def __init__(self, index: ChunkIndex) -> None:
        self._index = index
        self._counted: WeakKeyDictionary[Lease, Starts] = WeakKeyDictionary()

    def poison(self, attempt: WorkTry) -> str | None:
        """Return why the work is not to be tried again; None where it may be."""
        starts = self._of(attempt)
        own = 1 if attempt.lease in self._counted else 0
        if starts.killed >= _MOST_KILLED:
            return f"Its parser was killed or died {starts.killed} times."
        if starts.begun - own >= _MOST_BEGUN:
            return f"{starts.begun - own} tries began, and the worker ended before they did."
        return None

    async def begin(self, attempt: WorkTry) -> None:
        """Count the start of this try, durably.

        Raises:
            UnavailableError: Qdrant is away.
        """
        counted = self._counted.get(attempt.lease)
        if counted is not None and attempt.seen is not None:
            found = self._of(attempt)
            attempt.starts = found if found.begun else counted
            return
        event = attempt.event
        attempt.starts = await self._index.begin(
            attempt.cabinet, event.document_id, event.external_id, attempt.order, seen=attempt.seen
        )
        attempt.is_open = True
        self._counted[attempt.lease] = attempt.starts

    async def killed(self, attempt: WorkTry) -> bool:
        """Count that the try's parser was killed or died; return whether that was once too often.

        Raises:
            UnavailableError: Qdrant is away.
        """
        if attempt.starts is None or attempt.lease.ended is not None:
            return False
        attempt.starts = await self._index.count_kill(
            attempt.cabinet, attempt.event.document_id, attempt.starts
        )
        return attempt.starts.killed >= _MOST_KILLED

    async def take_back(self, attempt: WorkTry) -> None:
        """Count the try no longer, where that can be said soon: it was stopped from outside."""
        if self._counted.pop(attempt.lease, None) is None or attempt.starts is None:
            return
        with suppress(UnavailableError, TimeoutError):
            async with asyncio.timeout(_TAKE_BACK_SECONDS):
                await self._index.lower(attempt.cabinet, attempt.event.document_id, attempt.starts)

    @staticmethod
    def _of(attempt: WorkTry) -> Starts:
        """Return what is counted for exactly this work."""
        found = None if attempt.seen is None else attempt.seen.starts
        if found is not None and (found.version, found.epoch) == attempt.order:
            return found
        version, epoch = attempt.order
        return Starts(version=version, epoch=epoch)
