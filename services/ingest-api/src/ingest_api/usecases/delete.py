"""Ask for a delete: of a document, or of all that a cabinet has. A worker does it."""

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.domain.submission import next_version
from ingest_api.ports import Archive, Removals
from ingest_api.usecases.configure_cabinet import ConfigureCabinet
from ingest_api.usecases.job_events import JobEvents, acknowledged_in_time
from ingest_api.usecases.read_documents import ReadDocuments
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.events import CabinetDeletionRequested, DocumentDeletionRequested
from kartoteka_contracts.ids import CabinetId, DocumentId, Version, new_task_id
from kartoteka_contracts.records import DeletionRecord
from kartoteka_runtime.clock import Clock

__all__ = ["Delete"]


class Delete:
    """Takes requests to delete in.

    Each is written to object storage before its event, so that it is not lost with the event. What
    raises ``event_log_unavailable`` or ``overloaded`` may therefore still be done.
    """

    def __init__(
        self,
        *,
        documents: ReadDocuments,
        archive: Archive,
        removals: Removals,
        configure: ConfigureCabinet,
        jobs: JobEvents,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._archive = archive
        self._removals = removals
        self._configure = configure
        self._jobs = jobs
        self._clock = clock

    async def document(
        self,
        principal: Principal,
        document_id: DocumentId,
        *,
        cabinet_id: CabinetId | None = None,
        traceparent: str | None = None,
    ) -> DeletionRecord:
        """Ask for the delete of a document with all its versions up to now.

        Args:
            principal: who asks.
            document_id: which document.
            cabinet_id: whose it is. Where given, neither the index nor the view is needed.
            traceparent: the request's trace.

        Raises:
            RequestError: ``not_found``, for a foreign document as for an unknown one, or
                ``forbidden``: the named cabinet is not the caller's.
            UnavailableError: ``event_log_unavailable``, ``overloaded``,
                ``object_store_unavailable``; without the cabinet also what a lookup raises.
        """
        self._jobs.check()
        if cabinet_id is None:
            found = await self._documents.find(principal, document_id, scope=Scope.DELETE)
            cabinet = authorise(principal, Scope.DELETE, found.cabinet_id)
            name = found.external_id
        else:
            cabinet = authorise(principal, Scope.DELETE, cabinet_id)
            name = await self._name(cabinet, document_id)
        record = await self._record(cabinet, document_id, name)
        async with acknowledged_in_time():
            await self._jobs.send(
                DocumentDeletionRequested.of(record), record.task_id, traceparent=traceparent
            )
        return record

    async def cabinet(
        self, cabinet: AuthorisedCabinet, *, traceparent: str | None = None
    ) -> CabinetDeletionRequested:
        """Ask for the delete of everything that was asked of a cabinet until now.

        What is uploaded from now on stays. Its sources and its schedule are taken from it first,
        or the next run would bring documents back.

        Raises:
            UnavailableError: ``event_log_unavailable``, ``overloaded`` or
                ``object_store_unavailable``.
        """
        self._jobs.check()
        await self._configure.retire(cabinet, traceparent=traceparent)
        event = await self._floor(cabinet)
        while not await self._removals.create_cabinet_deletion(event):
            event = await self._floor(cabinet)
        async with acknowledged_in_time():
            await self._jobs.send(event, event.task_id, traceparent=traceparent)
        return event

    async def _name(self, cabinet: AuthorisedCabinet, document_id: DocumentId) -> str:
        record = await self._removals.newest_record(cabinet.cabinet_id, document_id)
        if record is None:
            raise RequestError("not_found")
        return record.external_id

    async def _record(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, name: str
    ) -> DeletionRecord:
        task = new_task_id()
        while True:
            newest = await self._archive.newest_version(cabinet.cabinet_id, document_id)
            now = self._clock.now()
            record = DeletionRecord(
                task_id=task,
                cabinet_id=cabinet.cabinet_id,
                document_id=document_id,
                external_id=name,
                version=next_version(now, newest),
                accepted_at=now,
                replaces=newest,
            )
            # Taken: an upload or another delete came between; the next listing shows it.
            if await self._archive.create_record(record):
                return record

    async def _floor(self, cabinet: AuthorisedCabinet) -> CabinetDeletionRequested:
        newest: Version | None = await self._removals.newest_in(cabinet.cabinet_id)
        now = self._clock.now()
        return CabinetDeletionRequested(
            task_id=new_task_id(),
            cabinet_id=cabinet.cabinet_id,
            version=next_version(now, newest),
            accepted_at=now,
        )
