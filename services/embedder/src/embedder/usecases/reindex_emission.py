"""Send one page of a run: each document's event, under an id that is the same at every try."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from embedder.domain.job import Lease
from embedder.domain.reindex_plan import Action, Entry, PageNotes
from embedder.domain.reindex_verdict import microseconds
from embedder.planner_ports import (
    BulkBacklog,
    CopiedObject,
    PlannerArchive,
    PlannerIndex,
    PlannerLog,
    SourceError,
    SourceStore,
)
from embedder.usecases.reindex_pages import RunPages, settings_of
from kartoteka_contracts.cabinets import Source
from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import KartotekaError
from kartoteka_contracts.events import DocumentDeletionRequested, DocumentSubmitted, SourceObject
from kartoteka_contracts.ids import (
    CabinetId,
    DocumentId,
    Epoch,
    TaskId,
    Version,
    child_task_id,
    new_task_id,
)
from kartoteka_contracts.keys import body_key, record_key, record_prefix, record_version
from kartoteka_contracts.records import (
    DeletionRecord,
    DocumentRecord,
    Record,
    encode_record,
    read_record,
)
from kartoteka_contracts.reindex import RunError
from kartoteka_index.manifest import Manifest
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.objects import ObjectMissingError
from kartoteka_runtime.tracing import linked

__all__ = ["BULK", "EmitPage"]

BULK: Final = "documents.bulk"
_AT_ONCE: Final = 8
"""Documents that are copied and sent at the same time."""
_OF_ONE_OBJECT: Final = frozenset(
    {"source_object_gone", "source_object_too_large", "source_object_unreadable"}
)


@dataclass(slots=True, kw_only=True)
class _Sending:
    """One try at one page."""

    pages: RunPages
    sources: Mapping[str, Source]
    accepted: int | None
    """When the run was asked for, in microseconds; None where the cabinet is at another run."""
    floor: int = 0
    """Up to which version the cabinet is deleted, as far as that is known."""
    away: dict[str, SourceError] = field(default_factory=dict)
    """Sources that failed: nothing more of them is tried in this page."""
    errors: dict[DocumentId, RunError] = field(default_factory=dict)
    overtaken: set[DocumentId] = field(default_factory=set)

    @property
    def cabinet(self) -> CabinetId:
        return self.pages.cabinet.cabinet_id

    def task(self, entry: Entry) -> TaskId:
        return child_task_id(self.pages.run, entry.document_id)

    async def look(self) -> None:
        """Learn whether the cabinet was deleted meanwhile."""
        self.floor = await self.pages.floor()

    def is_deleted(self, entry: Entry) -> bool:
        """Whether a delete of the cabinet takes an entry's work in."""
        if entry.action is Action.COPY and entry.version <= self.floor:
            return True
        return self.accepted is not None and self.accepted < self.floor

    def refuse(self, entry: Entry, code: str, message: str) -> None:
        self.errors[entry.document_id] = RunError(
            document_id=entry.document_id,
            external_id=entry.external_id,
            code=code,
            message=message,
        )

    def notes(self, page: tuple[Entry, ...]) -> PageNotes:
        order = [entry.document_id for entry in page]
        return PageNotes(
            errors=tuple(self.errors[document] for document in order if document in self.errors),
            overtaken=tuple(document for document in order if document in self.overtaken),
        )


class EmitPage:
    """The second half of a run, a page at a time. May be repeated at any point."""

    def __init__(
        self,
        *,
        archive: PlannerArchive,
        index: PlannerIndex,
        sources: SourceStore,
        log: PlannerLog,
        clock: Clock,
    ) -> None:
        self._archive = archive
        self._index = index
        self._sources = sources
        self._log = log
        self._clock = clock

    async def run(
        self, pages: RunPages, n: int, lease: Lease, *, backlog: BulkBacklog | None = None
    ) -> int:
        """Send what is not decided of a page, and note what could not be sent.

        Args:
            pages: of the run.
            n: the page.
            lease: of the step.
            backlog: what waits there is not sent; None where nothing of the page was sent before.

        Returns:
            How many entries were sent or noted.

        Raises:
            UnavailableError: one of our own stores is away.
        """
        page = await pages.page(n)
        if page is None:
            return 0
        settings = await settings_of(self._archive, pages.cabinet.cabinet_id)
        sending = _Sending(
            pages=pages,
            sources={source.name: source for source in settings.sources},
            accepted=await self._accepted(pages),
        )
        noted = await pages.notes(n)
        done = {error.document_id for error in noted.errors} | set(noted.overtaken)
        todo = [entry for entry in page.entries if entry.document_id not in done]
        todo = await self._undecided(pages, todo)
        if backlog is not None and todo:
            keys = {entry.document_id: f"{sending.cabinet}/{entry.document_id}" for entry in todo}
            waiting = await backlog.waiting(keys.values())
            # Once more after the topics: what was in a worker's hands may be decided by now.
            todo = [entry for entry in todo if keys[entry.document_id] not in waiting]
            todo = await self._undecided(pages, todo)
        for start in range(0, len(todo), _AT_ONCE):
            if lease.ended is not None:
                raise asyncio.CancelledError(lease.ended)
            await sending.look()
            await self._send_all(sending, todo[start : start + _AT_ONCE])
        await pages.keep_notes(n, sending.notes(page.entries))
        return len(todo)

    async def _undecided(self, pages: RunPages, entries: list[Entry]) -> list[Entry]:
        manifests = await self._index.manifests(
            pages.cabinet, [entry.document_id for entry in entries]
        )
        return [
            entry for entry in entries if not is_decided(entry, manifests.get(entry.document_id))
        ]

    async def _accepted(self, pages: RunPages) -> int | None:
        state = await self._index.run_state(pages.cabinet)
        is_current = state is not None and state.run_id == pages.run
        return microseconds(state.accepted_at) if state is not None and is_current else None

    async def _send_all(self, sending: _Sending, entries: list[Entry]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for entry in entries:
                    group.create_task(self._send(sending, entry))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _send(self, sending: _Sending, entry: Entry) -> None:
        if sending.is_deleted(entry):
            sending.overtaken.add(entry.document_id)
        match entry.action:
            case Action.COPY:
                await self._copy(sending, entry)
            case _ if entry.document_id in sending.overtaken:
                pass
            case Action.INDEX:
                await self._index_anew(sending, entry)
            case Action.DELETE:
                await self._delete(sending, entry)

    async def _index_anew(self, sending: _Sending, entry: Entry) -> None:
        record = await self._record(sending, entry)
        if not isinstance(record, DocumentRecord):
            sending.refuse(entry, "body_missing", "the document's record is gone or unreadable")
            return
        event = DocumentSubmitted.of(record, epoch=Epoch(entry.epoch))
        child = {"task_id": sending.task(entry), "is_forced": entry.is_forced}
        await self._emit(event.model_copy(update=child))

    async def _copy(self, sending: _Sending, entry: Entry) -> None:
        record = await self._recorded(sending, entry)
        if record is None and entry.document_id not in sending.overtaken:
            record = await self._copied(sending, entry)
        if not isinstance(record, DocumentRecord):
            return
        # A delete of the cabinet that is asked for later finds the record; one that was asked for
        # by now may have looked already.
        await sending.look()
        if sending.is_deleted(entry):
            await self._take_back(sending, entry, record)
        else:
            await self._emit(DocumentSubmitted.of(record))

    async def _take_back(self, sending: _Sending, entry: Entry, copied: DocumentRecord) -> None:
        """Delete a copy that came too late for the delete of its cabinet, as that would have."""
        sending.overtaken.add(entry.document_id)
        version = Version(max(copied.version + 1, sending.floor))
        record = DeletionRecord(
            task_id=child_task_id(copied.task_id, entry.document_id),
            cabinet_id=sending.cabinet,
            document_id=entry.document_id,
            external_id=entry.external_id,
            version=version,
            accepted_at=self._clock.now(),
            replaces=copied.version,
        )
        key = record_key(sending.cabinet, entry.document_id, version)
        if not await self._archive.create(key, encode_record(record)):
            stands = await self._read(key)
            if not isinstance(stands, DeletionRecord):
                return  # an upload, which is newer than the delete too
            record = stands
        await self._emit(DocumentDeletionRequested.of(record))

    async def _delete(self, sending: _Sending, entry: Entry) -> None:
        record = await self._recorded(sending, entry)
        if record is None and entry.document_id not in sending.overtaken:
            vanished = DeletionRecord(
                task_id=sending.task(entry),
                cabinet_id=sending.cabinet,
                document_id=entry.document_id,
                external_id=entry.external_id,
                version=entry.version,
                accepted_at=self._clock.now(),
                replaces=Version(entry.expected) if entry.expected else None,
                is_vanished=True,
            )
            record = await self._keep(sending, entry, vanished)
        if isinstance(record, DeletionRecord):
            await self._emit(DocumentDeletionRequested.of(record))

    async def _recorded(self, sending: _Sending, entry: Entry) -> Record | None:
        """Return the record of an earlier try; note where a newer version was asked for."""
        keys = await self._archive.keys(record_prefix(sending.cabinet, entry.document_id))
        versions = {version for key in keys if (version := record_version(key)) is not None}
        if entry.version in versions:
            return await self._own(sending, entry)
        if max(versions, default=0) > entry.expected:
            sending.overtaken.add(entry.document_id)
        return None

    async def _copied(self, sending: _Sending, entry: Entry) -> Record | None:
        """Copy the object and record it as a version; None where that cannot be."""
        wanted = entry.source
        source = None if wanted is None else sending.sources.get(wanted.source)
        if wanted is None or source is None:
            sending.refuse(entry, "source_unavailable", "the source is no longer in the settings")
            return None
        away = sending.away.get(source.name)
        if away is not None:
            sending.refuse(entry, away.code, away.message)
            return None
        # Of this try alone: a twin that copies the same object later must not change what a
        # record names. What no record names, reconciliation removes.
        key = body_key(sending.cabinet, entry.document_id, new_task_id())
        try:
            copied = await self._sources.copy(source, wanted.path, to_key=key)
        except SourceError as error:
            sending.away[source.name] = error
            sending.refuse(entry, error.code, error.message)
            return None
        except KartotekaError as error:
            if error.code not in _OF_ONE_OBJECT:
                raise
            sending.refuse(entry, error.code, error.message)
            return None
        return await self._keep(sending, entry, self._version(sending, entry, wanted, copied, key))

    def _version(
        self,
        sending: _Sending,
        entry: Entry,
        wanted: SourceObject,
        copied: CopiedObject,
        key: str,
    ) -> DocumentRecord:
        return DocumentRecord(
            task_id=sending.task(entry),
            cabinet_id=sending.cabinet,
            document_id=entry.document_id,
            external_id=entry.external_id,
            version=entry.version,
            accepted_at=self._clock.now(),
            replaces=Version(entry.expected) if entry.expected else None,
            filename=wanted.path.rpartition("/")[2],
            media_type=copied.media_type,
            sha256=copied.sha256,
            size=copied.size,
            body_key=key,
            metadata={"source": wanted.source, "path": wanted.path},
            source=wanted.model_copy(update={"stamp": copied.stamp}),
        )

    async def _keep(self, sending: _Sending, entry: Entry, record: Record) -> Record | None:
        """Write a record unless somebody has the version; return ours, if that is there."""
        key = record_key(sending.cabinet, entry.document_id, Version(entry.version))
        if await self._archive.create(key, encode_record(record)):
            return record
        return await self._own(sending, entry)

    async def _own(self, sending: _Sending, entry: Entry) -> Record | None:
        record = await self._record(sending, entry)
        if record is None or record.task_id != sending.task(entry):
            sending.overtaken.add(entry.document_id)
            return None
        return record

    async def _record(self, sending: _Sending, entry: Entry) -> Record | None:
        return await self._read(
            record_key(sending.cabinet, entry.document_id, Version(entry.version))
        )

    async def _read(self, key: str) -> Record | None:
        try:
            return read_record(await self._archive.read(key))
        except ObjectMissingError:
            return None

    async def _emit(self, event: DocumentSubmitted | DocumentDeletionRequested) -> None:
        headers = Envelope(event_id=event.task_id).to_headers()
        with linked("send document", task_id=event.task_id, document_id=event.document_id):
            await self._log.send(BULK, key=event.key, value=encode(event), headers=headers)


def is_decided(entry: Entry, manifest: Manifest | None) -> bool:
    """Whether an entry's work, or newer work, is decided."""
    return manifest is not None and (manifest.fence, manifest.epoch) >= entry.work
