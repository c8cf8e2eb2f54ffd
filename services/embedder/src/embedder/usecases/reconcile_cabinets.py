"""Requests to delete whole cabinets: sent again until nothing of the cabinet is left."""

from dataclasses import dataclass, field
from datetime import datetime

from embedder.reconcile_ports import Archive, UpkeepIndex
from embedder.usecases.reconcile_listing import BATCH, batched, records
from embedder.usecases.reconcile_pass import Pass
from embedder.usecases.reconcile_report import Left, Mend, Seen
from embedder.usecases.reconcile_rules import is_due
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.codec import decode
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.events import CabinetDeletionRequested
from kartoteka_contracts.ids import Version
from kartoteka_contracts.keys import (
    cabinet_deletion_finished,
    cabinet_deletion_finished_key,
    cabinet_deletions_prefix,
    record_version,
)
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.object_listing import FoundObject
from kartoteka_runtime.objects import ObjectMissingError

__all__ = [
    "KeptDeletions",
    "ReconcileCabinetDeletions",
    "due_floors",
    "kept_deletions",
    "read_deletion",
    "requested_deletions",
]

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDeletions:
    """The requests to delete a cabinet that are kept, by their floors."""

    requests: dict[Version, FoundObject] = field(default_factory=dict)
    finished: dict[Version, str] = field(default_factory=dict)
    """The keys of the marks that nothing was left to do for them."""


class ReconcileCabinetDeletions(Pass):
    """The pass over the requests to delete a cabinet.

    A finished one is kept for as long as events may come that are older; it costs no look at the
    cabinet, until the pass over the records finds something that came later.
    """

    async def run(self, cabinet: AuthorisedCabinet) -> None:
        """Send unfinished requests again, mark those that are finished, and remove old ones."""
        kept = await kept_deletions(self.archive, cabinet)
        self.report.seen[Seen.CABINET_DELETIONS] += len(kept.requests)
        now = self.clock.now()
        await self._tidy(kept, now - self.ages.record)
        requests = {
            floor: found for floor, found in kept.requests.items() if floor not in kept.finished
        }
        old = {
            floor: found
            for floor, found in requests.items()
            if found.modified < now - self.ages.grace
        }
        self.report.left[Left.YOUNG] += len(requests) - len(old)
        if not old:
            return
        # The topics first: what is left undone after the request was in none of them, is undone.
        oldest = await self.backlog.oldest()
        if await self.backlog.waiting({f"{cabinet.cabinet_id}/*"}):
            self.report.left[Left.WAITING] += len(old)
            return
        due = await due_floors(self.archive, self.index, cabinet, frozenset(old))
        finished = {
            floor: found
            for floor, found in old.items()
            if floor not in due and found.modified < now - self.ages.orphan
        }
        await self._finish(cabinet, finished, now - self.ages.record)
        for floor in sorted(due):
            if oldest is not None and old[floor].modified >= oldest:
                self.report.left[Left.YOUNG] += 1
            else:
                await self._send(old[floor].key)

    async def _finish(
        self, cabinet: AuthorisedCabinet, finished: dict[Version, FoundObject], limit: datetime
    ) -> None:
        gone = [found.key for found in finished.values() if found.modified < limit]
        await self.mender.remove(Mend.OLD_CABINET_DELETIONS, gone)
        marks = [
            cabinet_deletion_finished_key(cabinet.cabinet_id, floor)
            for floor, found in finished.items()
            if found.modified >= limit
        ]
        await self.mender.mark(Mend.FINISHED_CABINET_DELETIONS, marks)

    async def _tidy(self, kept: KeptDeletions, limit: datetime) -> None:
        for floor, mark in kept.finished.items():
            found = kept.requests.get(floor)
            if found is None:  # it went, and a reconciliation beside that one marked it
                await self.mender.remove(Mend.OLD_CABINET_DELETIONS, [mark])
            elif found.modified < limit:
                await self.mender.remove(Mend.OLD_CABINET_DELETIONS, [found.key, mark])

    async def _send(self, key: str) -> None:
        try:
            event = await read_deletion(self.archive, key)
        except ObjectMissingError:
            return
        if event is None:
            self.report.left[Left.UNREADABLE] += 1
            return
        await self.mender.send(event)


async def requested_deletions(
    archive: Archive, cabinet: AuthorisedCabinet
) -> dict[Version, FoundObject]:
    """Return the requests to delete a cabinet that are kept, by their floors, finished or not."""
    return (await kept_deletions(archive, cabinet)).requests


async def kept_deletions(archive: Archive, cabinet: AuthorisedCabinet) -> KeptDeletions:
    """Return what is kept of the requests to delete a cabinet.

    Raises:
        UnavailableError: object storage is away.
    """
    kept = KeptDeletions()
    async for page in archive.pages(cabinet_deletions_prefix(cabinet.cabinet_id)):
        for found in page:
            if (version := record_version(found.key)) is not None:
                kept.requests[version] = found
            elif (version := cabinet_deletion_finished(found.key)) is not None:
                kept.finished[version] = found.key
    return kept


async def read_deletion(archive: Archive, key: str) -> CabinetDeletionRequested | None:
    """Read a request to delete a cabinet; None where it is damaged, or of another release.

    Raises:
        ObjectMissingError: it is gone.
        UnavailableError: object storage is away.
    """
    try:
        event = decode(await archive.read(key))
    except EventError:
        event = None
    if isinstance(event, CabinetDeletionRequested):
        return event
    _log.warning("cabinet_deletion_unreadable", key=key)
    return None


async def due_floors(
    archive: Archive, index: UpkeepIndex, cabinet: AuthorisedCabinet, floors: frozenset[Version]
) -> frozenset[Version]:
    """Return those floors of deletes below which something is left.

    Raises:
        UnavailableError: object storage or the index is away.
    """
    due: set[Version] = set()
    async for batch in batched(records(archive, cabinet.cabinet_id), BATCH):
        manifests = await index.manifests(cabinet, [one.document_id for one in batch])
        for listed in batch:
            manifest = manifests.get(listed.document_id)
            due |= {floor for floor in floors if is_due(floor, listed.records, manifest)}
    cursor: str | None = None
    while due != floors:
        page = await index.documents(cabinet, cursor=cursor, limit=BATCH)
        for manifest in page.manifests:
            due |= {floor for floor in floors if is_due(floor, (), manifest)}
        cursor = page.cursor
        if cursor is None:
            break
    return frozenset(due)
