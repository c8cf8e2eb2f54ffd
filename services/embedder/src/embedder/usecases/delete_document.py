"""Delete one document up to a version: its points, its bodies, and all that would bring it back."""

from dataclasses import dataclass
from typing import Final

from embedder.domain.job import Job, Lease
from embedder.domain.outcome import Deleted, Outcome, Superseded
from embedder.ports import Bodies, DocumentIndex, StageReport
from embedder.usecases.tidy import OlderBodies
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.events import (
    DeletedCounts,
    DocumentDeletionRequested,
    IndexResult,
    SourceObject,
)
from kartoteka_contracts.ids import DocumentId, Epoch, TaskId, Version
from kartoteka_contracts.keys import record_prefix, record_version
from kartoteka_contracts.records import DocumentRecord, read_record
from kartoteka_contracts.tasks import Stage
from kartoteka_index.manifest import Decision
from kartoteka_index.manifest import Outcome as Decided
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.objects import ObjectMissingError

__all__ = ["DeleteDocument", "Removal", "Removed"]

_OF_SOURCE: Final = "://"
"""In the name of every document that a run has copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What is to be deleted, and by whom."""

    document_id: DocumentId
    external_id: str
    version: Version
    epoch: Epoch
    task_id: TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was found and is gone."""

    chunks: int
    bodies: int
    is_overtaken: bool
    """Whether newer work stands: only what is older than the delete is gone."""


class DeleteDocument:
    """The use case. The fence rises first, so that nothing older can be published any more."""

    def __init__(self, *, index: DocumentIndex, bodies: Bodies, clock: Clock) -> None:
        self._index = index
        self._bodies = bodies
        self._older_bodies = OlderBodies(bodies)
        self._clock = clock

    async def run(self, job: Job, lease: Lease, report: StageReport) -> Outcome:
        """Do the work. A redelivery does it again, and then finds less to count.

        Returns:
            Deleted; Superseded where newer work stands, which kept nothing of what is older.

        Raises:
            UnavailableError: a store is away, or still has what it acknowledged as deleted.
            TypeError: the job is no document to delete.
        """
        del lease  # deleting on is never wrong: the fence stands
        event = job.event
        if not isinstance(event, DocumentDeletionRequested):
            raise TypeError(f"{event.type} is no document to delete")
        report(Stage.WRITING, 0.0)
        removed = await self.remove(
            job.cabinet,
            Removal(
                document_id=event.document_id,
                external_id=event.external_id,
                version=event.version,
                epoch=event.epoch,
                task_id=event.task_id,
            ),
        )
        if removed.is_overtaken:
            return Superseded()
        counts = DeletedCounts(documents=1, chunks=removed.chunks, bodies=removed.bodies)
        return Deleted(result=IndexResult(deleted=counts))

    async def remove(self, cabinet: AuthorisedCabinet, removal: Removal) -> Removed:
        """Decide the delete and carry it out; safe to repeat.

        Raises:
            UnavailableError: as :meth:`run`.
        """
        document, version = removal.document_id, removal.version
        decision = Decision(
            document_id=document,
            external_id=removal.external_id,
            version=version,
            epoch=removal.epoch,
            outcome=Decided.DELETED,
            task_id=removal.task_id,
            decided_at=self._clock.now(),
            published=None,
            source=await self._source(cabinet, removal),
        )
        is_overtaken = await self._index.decide(cabinet, decision) is None
        is_kept = is_overtaken and await self._is_kept(cabinet, removal)
        chunks = 0 if is_kept else await self._index.erase(cabinet, document, up_to=version)
        bodies = await self._older_bodies.delete_up_to(cabinet.cabinet_id, document, version)
        return Removed(chunks=chunks, bodies=bodies, is_overtaken=is_overtaken)

    async def _source(self, cabinet: AuthorisedCabinet, removal: Removal) -> SourceObject | None:
        """Return the object that what is deleted was copied from; None where it was uploaded.

        By its record, since a version may be deleted that is not decided yet; records of what was
        deleted before may be gone, and then the manifest still tells.
        """
        if _OF_SOURCE not in removal.external_id:
            return None
        document = removal.document_id
        keys = await self._bodies.keys(record_prefix(cabinet.cabinet_id, document))
        for key in sorted(keys, reverse=True):
            version = record_version(key)
            if version is None or version >= removal.version:
                continue
            try:
                record = read_record(await self._bodies.read(key))
            except ObjectMissingError:
                continue
            if isinstance(record, DocumentRecord):
                return record.source
            if record is None:
                break  # of another release, or damaged: an older one would tell of another object
        stands = await self._index.manifest(cabinet, document)
        return None if stands is None or stands.fence > removal.version else stands.source

    async def _is_kept(self, cabinet: AuthorisedCabinet, removal: Removal) -> bool:
        """Withdraw what newer work left as it was; return whether it wanted just that.

        Newer work that failed or was cancelled keeps what was published before it, and so would
        undo this delete. Newer work that found the same bytes has asked for them again.
        """
        stands = await self._index.withdraw(cabinet, removal.document_id, up_to=removal.version)
        published = None if stands is None else stands.published
        return published is not None and published.version <= removal.version
