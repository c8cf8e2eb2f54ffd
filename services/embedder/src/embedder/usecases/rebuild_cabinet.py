"""What a rebuild does about a cabinet besides its documents: its settings, and that it is known."""

import asyncio
from dataclasses import dataclass
from typing import Final

from embedder.reconcile_ports import Archive, Backlog, Log, UpkeepIndex
from embedder.usecases.rebuild_report import RebuildReport, Sent
from embedder.usecases.rebuild_window import JobSender, RebuildWindow
from embedder.usecases.reconcile_cabinets import due_floors, read_deletion, requested_deletions
from embedder.usecases.reconcile_settings import newest_settings
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSeen
from kartoteka_contracts.codec import encode
from kartoteka_contracts.ids import Version
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger

__all__ = ["RebuildCabinet"]

_log = get_logger(__name__)

_CABINETS: Final = "cabinets"
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildCabinet:
    """Sends what a cabinet is, and what deletes of all of it are unfinished."""

    archive: Archive
    index: UpkeepIndex
    backlog: Backlog
    log: Log
    sender: JobSender
    window: RebuildWindow
    clock: Clock
    report: RebuildReport

    async def announce(self, cabinet: AuthorisedCabinet, *, has_documents: bool) -> None:
        """Make the cabinet known to whoever reads the topic: scheduler and view.

        Raises:
            UnavailableError: object storage or Kafka is away.
        """
        cabinet_id = cabinet.cabinet_id
        settings = await newest_settings(self.archive, cabinet_id)
        if settings.is_unreadable:
            self.report.unreadable += 1
        if settings.event is not None:
            await self._say(settings.event, Sent.SETTINGS)
        if has_documents:
            await self._say(CabinetSeen(cabinet_id=cabinet_id, at=self.clock.now()), Sent.SEEN)

    async def delete(self, cabinet: AuthorisedCabinet) -> None:
        """Carry out unfinished deletes of the whole cabinet, before its documents cost anything.

        Raises:
            UnavailableError: a store or Kafka is away.
            TimeoutError: nothing is decided any more.
        """
        requests = await requested_deletions(self.archive, cabinet)
        floors = frozenset(requests)
        if not floors:
            return
        for floor in sorted(await self._due(cabinet, floors)):
            event = await read_deletion(self.archive, requests[floor].key)
            if event is None:
                self.report.unreadable += 1
                continue
            for _ in range(_TRIES):
                if not self.report.is_dry:
                    await self.sender.send(event)
                    await self._processed(event.key)
                else:
                    self.report.sent[Sent.CABINET_DELETION] += 1
                    break
                if floor not in await self._due(cabinet, frozenset({floor})):
                    break
            else:
                _log.error("cabinet_deletion_stays_undone", cabinet_id=cabinet.cabinet_id)
                self.report.given_up += 1

    async def _due(
        self, cabinet: AuthorisedCabinet, floors: frozenset[Version]
    ) -> frozenset[Version]:
        return await due_floors(self.archive, self.index, cabinet, floors)

    async def _processed(self, key: str) -> None:
        """Return when no event of a key waits any more; other work goes on meanwhile."""
        while await self.backlog.waiting({key}):
            await asyncio.sleep(_PAUSE_SECONDS)
            await self.window.step()

    async def _say(self, event: CabinetConfigured | CabinetSeen, kind: Sent) -> None:
        if not self.report.is_dry:
            await self.log.send(_CABINETS, key=event.key, value=encode(event))
        self.report.sent[kind] += 1
