"""Every change that reconciliation makes: counted, paced, and left out of a dry run."""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid5

from embedder.reconcile_ports import Archive, Log, UpkeepIndex
from embedder.usecases.reconcile_report import Mend, Report
from embedder.usecases.reindex_steps import TOPIC, continuation, headers
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSeen
from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
)
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.reindex import ReindexRequested, RunContinued
from kartoteka_index.manifest import Manifest
from kartoteka_index.run_state import RunState
from kartoteka_index.upkeep import Work
from kartoteka_runtime.clock import Clock

__all__ = ["Mender", "Request"]

Request = (
    DocumentSubmitted
    | DocumentDeletionRequested
    | TaskCancellationRequested
    | CabinetDeletionRequested
)

_JOBS: Final = "documents.bulk"
"""Whoever waited for this work has waited for minutes; after a lost log it may be thousands of
documents, behind which nobody should stand who uploads one now."""
_CABINETS: Final = "cabinets"
_STEPS: Final[dict[type, Mend]] = {ReindexRequested: Mend.REINDEX, RunContinued: Mend.RUN_STEP}
_KINDS: Final[dict[type[Request], Mend]] = {
    DocumentSubmitted: Mend.SUBMITTED,
    DocumentDeletionRequested: Mend.DELETION,
    TaskCancellationRequested: Mend.CANCELLATION,
    CabinetDeletionRequested: Mend.CABINET_DELETION,
}


class Mender:
    """Makes changes.

    Args:
        archive: to remove objects from, and to leave marks in.
        index: to remove chunks and manifests from.
        log: to send events to.
        clock: says when.
        report: counts.
        rate: changes a second at most.
    """

    def __init__(
        self,
        *,
        archive: Archive,
        index: UpkeepIndex,
        log: Log,
        clock: Clock,
        report: Report,
        rate: float,
    ) -> None:
        self._archive = archive
        self._index = index
        self._event_log = log
        self._clock = clock
        self._report = report
        self._interval = 1 / rate
        self._free_at = clock.monotonic()
        self._announced: set[CabinetId] = set()

    async def send(self, event: Request) -> None:
        """Send an event again, as ingest-api sent it: with the same ids.

        Raises:
            UnavailableError: Kafka does not acknowledge it; it may be there all the same.
        """
        if not self._report.is_dry:
            await self._announce(event.cabinet_id)
            await self._pace()
            event_id = uuid5(UUID(event.task_id), event.type)
            sent = Envelope(event_id=str(event_id)).to_headers()
            await self._event_log.send(_JOBS, key=event.key, value=encode(event), headers=sent)
        self._report.mend(_KINDS[type(event)])

    async def resume(self, state: RunState) -> None:
        """Send the event of a run's next step: the request where it was never planned.

        Raises:
            UnavailableError: as :meth:`send`.
        """
        event = continuation(state)
        if event is None:
            return
        if not self._report.is_dry:
            await self._pace()
            await self._event_log.send(
                TOPIC, key=event.key, value=encode(event), headers=headers(state)
            )
        self._report.mend(_STEPS[type(event)])

    async def configure(self, event: CabinetConfigured) -> None:
        """Tell a cabinet's settings again.

        Raises:
            UnavailableError: as :meth:`send`.
        """
        if not self._report.is_dry:
            await self._pace()
            await self._event_log.send(_CABINETS, key=event.key, value=encode(event))
        self._report.mend(Mend.SETTINGS)

    async def remove(self, what: Mend, keys: Sequence[str]) -> None:
        """Delete objects."""
        if not keys:
            return
        if not self._report.is_dry:
            await self._pace()
            await self._archive.delete(keys)
        self._report.mend(what, len(keys))

    async def mark(self, what: Mend, keys: Sequence[str]) -> None:
        """Write empty objects."""
        for key in keys:
            if not self._report.is_dry:
                await self._pace()
                await self._archive.create(key, b"")
            self._report.mend(what)

    async def discard(self, cabinet: AuthorisedCabinet, work: Work) -> None:
        """Delete the chunks of a work."""
        chunks = await self._index.count(cabinet, *work)
        if chunks == 0:
            return  # somebody was faster
        if not self._report.is_dry:
            await self._pace()
            await self._index.discard(cabinet, *work)
        self._report.mend(Mend.ORPHAN_CHUNKS, chunks)
        self._report.mend(Mend.ORPHAN_WORKS)

    async def forget(
        self, cabinet: AuthorisedCabinet, deleted: Manifest, records: Sequence[str]
    ) -> None:
        """Remove what says that a document was deleted: records first, so that none stays alone."""
        if not self._report.is_dry:
            await self._pace()
            await self._archive.delete(records)
            await self._index.forget(cabinet, deleted)
        self._report.mend(Mend.TOMBSTONES)

    async def _announce(self, cabinet: CabinetId) -> None:
        """Make a cabinet known again: whoever lost its work may have lost that, too."""
        if cabinet in self._announced:
            return
        event = CabinetSeen(cabinet_id=cabinet, at=self._clock.now())
        await self._event_log.send(_CABINETS, key=event.key, value=encode(event))
        self._announced.add(cabinet)

    async def _pace(self) -> None:
        now = self._clock.monotonic()
        self._free_at = max(now, self._free_at) + self._interval
        if self._free_at - self._interval > now:
            await asyncio.sleep(self._free_at - self._interval - now)
