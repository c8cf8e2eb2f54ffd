"""Records: what was asked of documents and never reached a topic; and what is asked no more."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from embedder.usecases.reconcile_cabinets import kept_deletions
from embedder.usecases.reconcile_listing import (
    BATCH,
    CancelMark,
    ListedDocument,
    batched,
    records,
)
from embedder.usecases.reconcile_pass import Pass
from embedder.usecases.reconcile_report import Left, Mend, Seen
from embedder.usecases.reconcile_rules import (
    instant,
    is_decided,
    is_due,
    is_undecided,
    lowest_needed,
    may_matter,
)
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.codec import decode
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.events import (
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
)
from kartoteka_contracts.ids import DocumentId, Epoch, Version
from kartoteka_contracts.keys import cancel_key, record_key, record_prefix, record_version
from kartoteka_contracts.records import DeletionRecord, Record, read_record
from kartoteka_index.manifest import Manifest
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.objects import ObjectMissingError

__all__ = ["ReconcileRecords"]

_log = get_logger(__name__)

_NEVER: Final = Version(0)
_LOOK: Final = 4096
"""Undecided documents that are looked for in the topics at once: every look reads all events that
are not processed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Undecided:
    document_id: DocumentId
    version: Version
    since: datetime


class ReconcileRecords(Pass):
    """The pass over the records of a cabinet."""

    async def run(self, cabinet: AuthorisedCabinet) -> None:
        """Send again what was lost, and remove what nothing can ask for any more."""
        undecided: list[_Undecided] = []
        kept = await kept_deletions(self.archive, cabinet)
        late: set[Version] = set()
        async for batch in batched(records(self.archive, cabinet.cabinet_id), BATCH):
            self.report.seen[Seen.DOCUMENTS] += len(batch)
            self.report.seen[Seen.RECORDS] += sum(len(listed.records) for listed in batch)
            manifests = await self.index.manifests(cabinet, [one.document_id for one in batch])
            for listed in batch:
                manifest = manifests.get(listed.document_id)
                passed = {one for one in kept.requests if is_due(one, listed.records, manifest)}
                late |= passed
                if listed.newest is not None and listed.newest < max(passed, default=_NEVER):
                    continue  # to be deleted, not to be sent
                undecided += self._undecided(listed, manifest)
                await self._tidy(listed, manifest)
            if len(undecided) >= _LOOK:
                await self._send_lost(cabinet, undecided)
                undecided = []
            self.tell()
        await self._send_lost(cabinet, undecided)
        # What was accepted before a delete of the cabinet, and came after its end.
        reopened = [mark for floor, mark in sorted(kept.finished.items()) if floor in late]
        await self.mender.remove(Mend.REOPENED_CABINET_DELETIONS, reopened)

    def _undecided(self, listed: ListedDocument, manifest: Manifest | None) -> list[_Undecided]:
        version, since = listed.newest, listed.since
        if version is None or since is None or not is_undecided(version, manifest):
            return []
        if since >= self.clock.now() - self.ages.grace:
            self.report.left[Left.YOUNG] += 1
            return []
        return [_Undecided(document_id=listed.document_id, version=version, since=since)]

    async def _send_lost(self, cabinet: AuthorisedCabinet, found: list[_Undecided]) -> None:
        """Send what is in no topic.

        The order counts: records, then the topics, then manifests. What is undecided after it was
        seen in no topic is in none, since a worker decides before it acknowledges.
        """
        oldest = await self.backlog.oldest() if found else None
        if oldest is not None:
            older = [one for one in found if one.since < oldest]
            self.report.left[Left.YOUNG] += len(found) - len(older)
            found = older
        if not found:
            return
        keys = {one.document_id: f"{cabinet.cabinet_id}/{one.document_id}" for one in found}
        whole = f"{cabinet.cabinet_id}/*"
        waiting = await self.backlog.waiting({whole, *keys.values()})
        lost = [one for one in found if not waiting & {whole, keys[one.document_id]}]
        self.report.left[Left.WAITING] += len(found) - len(lost)
        for start in range(0, len(lost), BATCH):
            batch = lost[start : start + BATCH]
            manifests = await self.index.manifests(cabinet, [one.document_id for one in batch])
            for one in batch:
                if is_undecided(one.version, manifests.get(one.document_id)):
                    await self._send(cabinet, one)
                    self.tell()

    async def _send(self, cabinet: AuthorisedCabinet, lost: _Undecided) -> None:
        listed = await self.archive.keys(record_prefix(cabinet.cabinet_id, lost.document_id))
        newest = max((found for key in listed if (found := record_version(key))), default=None)
        if newest != lost.version:
            self.report.left[Left.YOUNG] += 1
            return
        key = record_key(cabinet.cabinet_id, lost.document_id, lost.version)
        record = await self._read(key)
        if record is None:
            return
        if isinstance(record, DeletionRecord):
            await self.mender.send(DocumentDeletionRequested.of(record))
            return
        event = DocumentSubmitted.of(record)
        await self.mender.send(event)
        mark = cancel_key(record.cabinet_id, record.document_id, record.version, record.task_id)
        if mark in listed:
            cancellation = await self._cancellation(mark)
            await self.mender.send(cancellation or self._anew(event))

    async def _read(self, key: str) -> Record | None:
        try:
            content = await self.archive.read(key)
        except ObjectMissingError:
            return None
        record = read_record(content)
        if record is None or record_key(record.cabinet_id, record.document_id, record.version) != (
            key
        ):
            _log.warning("record_unreadable", key=key)
            self.report.left[Left.UNREADABLE] += 1
            return None
        return record

    async def _cancellation(self, mark: str) -> TaskCancellationRequested | None:
        try:
            event = decode(await self.archive.read(mark))
        except (EventError, ObjectMissingError):
            return None
        return event if isinstance(event, TaskCancellationRequested) else None

    def _anew(self, event: DocumentSubmitted) -> TaskCancellationRequested:
        """Return the cancellation of a task whose mark does not tell what was sent."""
        return TaskCancellationRequested.of(event, requested_at=self.clock.now())

    async def _tidy(self, listed: ListedDocument, manifest: Manifest | None) -> None:
        if manifest is None:
            return
        decided = [
            mark.key
            for mark in listed.marks
            if not may_matter(mark.version, manifest) and await self._is_over(mark, manifest)
        ]
        await self.mender.remove(Mend.CANCEL_MARKS, decided)
        limit, needed = self.clock.now() - self.ages.record, lowest_needed(manifest)
        old = [
            found.key
            for version, found in listed.records.items()
            if version != listed.newest
            and version < needed
            and max(found.modified, instant(version)) < limit
        ]
        await self.mender.remove(Mend.OLD_RECORDS, old)

    async def _is_over(self, mark: CancelMark, manifest: Manifest) -> bool:
        """Whether the task that a mark is to cancel is decided."""
        if mark.version != manifest.fence or mark.task_id == manifest.task_id:
            return mark.version <= manifest.fence
        cancellation = await self._cancellation(mark.key)  # another task's: a replay, or replayed
        return cancellation is not None and is_decided(
            (cancellation.document_id, cancellation.version, Epoch(cancellation.epoch)), manifest
        )
