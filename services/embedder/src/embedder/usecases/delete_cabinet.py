"""Delete all documents of a cabinet up to a version, one by one, and then what belongs to none."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from embedder.domain.job import Job, Lease
from embedder.domain.outcome import Deleted, Outcome
from embedder.ports import Bodies, DocumentIndex, StageReport
from embedder.usecases.delete_document import DeleteDocument, Removal
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.events import CabinetDeletionRequested, DeletedCounts, IndexResult
from kartoteka_contracts.ids import DocumentId, Version, child_task_id
from kartoteka_contracts.keys import (
    bodies_prefix,
    document_of,
    record_key,
    record_version,
    records_prefix,
)
from kartoteka_contracts.records import DeletionRecord, encode_record, read_record
from kartoteka_contracts.tasks import Stage
from kartoteka_index.manifest import Manifest
from kartoteka_index.manifest import Outcome as Decided
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger

__all__ = ["DeleteCabinet"]

_log = get_logger(__name__)

_PAGE: Final = 256
_ALMOST: Final = 0.95


@dataclass(slots=True, kw_only=True)
class _Cabinet:
    """One pass over a cabinet: what lies there, and what was done about it."""

    granted: AuthorisedCabinet
    event: CabinetDeletionRequested
    lease: Lease
    records: dict[DocumentId, list[Version]] = field(default_factory=dict)
    """Of each document, the versions at or below the floor that a record names, ascending."""
    bodies: set[DocumentId] = field(default_factory=set)
    """Documents that have bodies."""
    kept: set[DocumentId] = field(default_factory=set)
    """Documents with chunks up to the floor that newer work, or an upload at it, has asked for."""
    documents: set[DocumentId] = field(default_factory=set)
    """Deleted, now or by an earlier try at this task."""
    chunks: int = 0
    bodies_removed: int = 0


class DeleteCabinet:
    """The use case. Whatever a try leaves undone, the next one finds."""

    def __init__(self, *, index: DocumentIndex, bodies: Bodies, clock: Clock) -> None:
        self._index = index
        self._bodies = bodies
        self._delete_document = DeleteDocument(index=index, bodies=bodies, clock=clock)

    async def run(self, job: Job, lease: Lease, report: StageReport) -> Outcome:
        """Do the work. A redelivery goes on with what is left.

        Raises:
            UnavailableError: a store is away, or still has what it acknowledged as deleted.
            TypeError: the job is no cabinet to delete.
        """
        event = job.event
        if not isinstance(event, CabinetDeletionRequested):
            raise TypeError(f"{event.type} is no cabinet to delete")
        work = _Cabinet(granted=job.cabinet, event=event, lease=lease)
        await self._pass(work, report)
        report(Stage.WRITING, _ALMOST)
        # What has neither record nor manifest. What was published during the first pass is deleted
        # by a second one, so that no manifest names chunks that are gone.
        work.chunks += await self._index.erase_cabinet(
            work.granted, up_to=event.version, without=sorted(work.kept)
        )
        await self._pass(work, lambda _stage, _share: None)
        counts = DeletedCounts(
            documents=len(work.documents), chunks=work.chunks, bodies=work.bodies_removed
        )
        return Deleted(result=IndexResult(deleted=counts))

    async def _pass(self, work: _Cabinet, report: StageReport) -> None:
        await self._list(work)
        done, total = 0, max(1, len(work.records))
        async for document, manifest in self._found(work):
            if work.lease.ended is not None:
                raise asyncio.CancelledError(work.lease.ended)
            if self._is_due(work, document, manifest):
                await self._remove(work, document, manifest)
            done += 1
            report(Stage.WRITING, min(_ALMOST, done / total))

    async def _list(self, work: _Cabinet) -> None:
        """Learn what object storage has of the cabinet."""
        cabinet, floor = work.event.cabinet_id, work.event.version
        work.records.clear()
        for key in await self._bodies.keys(records_prefix(cabinet)):
            version = record_version(key)
            if version is not None and version <= floor:
                work.records.setdefault(document_of(key), []).append(version)
        work.bodies = {document_of(key) for key in await self._bodies.keys(bodies_prefix(cabinet))}

    async def _found(self, work: _Cabinet) -> AsyncIterator[tuple[DocumentId, Manifest | None]]:
        """Give every document that has a manifest, then those that have a record only."""
        seen: set[DocumentId] = set()
        cursor: str | None = None
        while True:
            page = await self._index.documents(work.granted, cursor=cursor, limit=_PAGE)
            for manifest in page.manifests:
                seen.add(manifest.document_id)
                yield manifest.document_id, manifest
            cursor = page.cursor
            if cursor is None:
                break
        for document in sorted(work.records.keys() - seen):
            yield document, None

    @staticmethod
    def _is_due(work: _Cabinet, document: DocumentId, manifest: Manifest | None) -> bool:
        """Whether there is something left to do about a document; notes what is to stay."""
        floor = work.event.version
        if manifest is None:
            return True
        published, task = manifest.published, child_task_id(work.event.task_id, document)
        if manifest.fence >= floor:
            if manifest.outcome is Decided.DELETED and manifest.task_id == task:
                work.documents.add(document)
            if published is not None and published.version <= floor:
                if manifest.affirmed is None or manifest.affirmed <= floor:
                    return True
                work.kept.add(document)
            return document in work.bodies and document in work.records
        return True

    async def _remove(
        self, work: _Cabinet, document: DocumentId, manifest: Manifest | None
    ) -> None:
        event = work.event
        external_id = await self._name(work, document, manifest)
        if external_id is None:
            _log.warning("document_without_name", document_id=document)
            return
        task = child_task_id(event.task_id, document)
        if not await self._record(work, document, external_id):
            work.kept.add(document)
            return
        removed = await self._delete_document.remove(
            work.granted,
            Removal(
                document_id=document,
                external_id=external_id,
                version=event.version,
                epoch=event.epoch,
                task_id=task,
            ),
        )
        work.chunks += removed.chunks
        work.bodies_removed += removed.bodies
        if not removed.is_overtaken:
            work.documents.add(document)

    async def _name(
        self, work: _Cabinet, document: DocumentId, manifest: Manifest | None
    ) -> str | None:
        """Return the caller's name of a document; None where no record can be read."""
        if manifest is not None:
            return manifest.external_id
        for version in reversed(work.records.get(document, [])):
            key = record_key(work.event.cabinet_id, document, version)
            record = read_record(await self._bodies.read(key))
            if record is not None:
                return record.external_id
        return None

    async def _record(self, work: _Cabinet, document: DocumentId, external_id: str) -> bool:
        """Say in the records that the document is deleted; False where an upload has the floor."""
        event = work.event
        older = [version for version in work.records.get(document, []) if version < event.version]
        record = DeletionRecord(
            task_id=child_task_id(event.task_id, document),
            cabinet_id=event.cabinet_id,
            document_id=document,
            external_id=external_id,
            version=event.version,
            accepted_at=event.accepted_at,
            replaces=max(older, default=None),
        )
        key = record_key(event.cabinet_id, document, event.version)
        if await self._bodies.create(key, encode_record(record)):
            return True
        return isinstance(read_record(await self._bodies.read(key)), DeletionRecord)
