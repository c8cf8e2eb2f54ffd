"""Requests to delete whole cabinets: sent again until nothing of the cabinet is left."""

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
from kartoteka_contracts.keys import cabinet_deletions_prefix, record_version
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.object_listing import FoundObject
from kartoteka_runtime.objects import ObjectMissingError

__all__ = [
    "ReconcileCabinetDeletions",
    "due_floors",
    "read_deletion",
    "requested_deletions",
]

_log = get_logger(__name__)


class ReconcileCabinetDeletions(Pass):
    """The pass over the requests to delete a cabinet."""

    async def run(self, cabinet: AuthorisedCabinet) -> None:
        """Send unfinished requests again, and remove those that are finished."""
        requests = await requested_deletions(self.archive, cabinet)
        self.report.seen[Seen.CABINET_DELETIONS] += len(requests)
        now = self.clock.now()
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
        finished = [
            found.key
            for floor, found in old.items()
            if floor not in due and found.modified < now - self.ages.orphan
        ]
        await self.mender.remove(Mend.FINISHED_CABINET_DELETIONS, finished)
        for floor in sorted(due):
            if oldest is not None and old[floor].modified >= oldest:
                self.report.left[Left.YOUNG] += 1
            else:
                await self._send(old[floor].key)

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
    """Return the requests to delete a cabinet that are kept, by their floors."""
    return {
        version: found
        async for page in archive.pages(cabinet_deletions_prefix(cabinet.cabinet_id))
        for found in page
        if (version := record_version(found.key)) is not None
    }


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
