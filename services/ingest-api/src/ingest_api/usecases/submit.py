"""Accept a document: body, record, event; then, and only then, say so."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from ingest_api.domain.submission import next_version
from ingest_api.ports import Archive, EventLog
from ingest_api.usecases.job_events import JobEvents, acknowledged_in_time
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.cabinets import CabinetSeen
from kartoteka_contracts.codec import encode
from kartoteka_contracts.errors import KartotekaError, RequestError
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import CabinetId, TaskId, document_id, new_task_id
from kartoteka_contracts.keys import body_key
from kartoteka_contracts.media_type import HEAD_BYTES, sniff
from kartoteka_contracts.records import DocumentRecord
from kartoteka_contracts.tasks import TaskKind
from kartoteka_runtime.clock import Clock

__all__ = ["Acceptance", "StoredBody", "Submit"]

_CABINETS: Final = "cabinets"
_MOST_SEEN: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBody:
    """A body that was received and that nothing refers to yet."""

    cabinet: AuthorisedCabinet
    task_id: TaskId
    external_id: str
    filename: str
    key: str
    size: int
    sha256: str
    media_type: str
    is_stored: bool = True
    """False where it was only hashed: an earlier request's body, under ``key``, is to be it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A document that is safe."""

    record: DocumentRecord
    is_repeat: bool = False
    """Whether an earlier request was accepted as this, and is answered once more."""
    traceparent: str | None = None
    """The trace that its work belongs to."""


class Submit:
    """Takes documents in. Needs object storage and the event log, nothing else."""

    def __init__(self, *, archive: Archive, log: EventLog, clock: Clock) -> None:
        self._archive = archive
        self._log = log
        self._jobs = JobEvents(log)
        self._clock = clock
        self._seen: set[CabinetId] = set()

    def check(self) -> None:
        """Refuse at once what could not be finished, before a body is sent for nothing.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        self._jobs.check()

    async def store(
        self,
        cabinet: AuthorisedCabinet,
        chunks: AsyncIterator[bytes],
        *,
        external_id: str,
        filename: str,
    ) -> StoredBody:
        """Stream a body to object storage, hashing and counting it on the way.

        An error raised by ``chunks`` passes through, and leaves nothing visible.

        Raises:
            RequestError: ``empty_file``.
            UnavailableError: ``object_store_unavailable``.
        """
        task = new_task_id()
        document = document_id(cabinet.cabinet_id, external_id)
        key = body_key(cabinet.cabinet_id, document, task)
        intake = _Intake()
        await self._archive.write_body(key, intake.watch(chunks))
        return StoredBody(
            cabinet=cabinet,
            task_id=task,
            external_id=external_id,
            filename=filename,
            key=key,
            size=intake.size,
            sha256=intake.digest.hexdigest(),
            media_type=sniff(bytes(intake.head), filename),
        )

    async def weigh(
        self,
        cabinet: AuthorisedCabinet,
        chunks: AsyncIterator[bytes],
        key: str,
        *,
        external_id: str,
        filename: str,
    ) -> StoredBody:
        """Hash and count a body without storing it: an earlier request has stored one as ``key``.

        Raises:
            RequestError: ``empty_file``.
        """
        intake = _Intake()
        async for _ in intake.watch(chunks):
            pass
        return StoredBody(
            cabinet=cabinet,
            task_id=new_task_id(),
            external_id=external_id,
            filename=filename,
            key=key,
            size=intake.size,
            sha256=intake.digest.hexdigest(),
            media_type=sniff(bytes(intake.head), filename),
            is_stored=False,
        )

    async def discard(self, bodies: Sequence[StoredBody]) -> None:
        """Delete bodies whose request came to nothing.

        Best effort: what stays is an orphan, which reconciliation removes.
        """
        keys = [body.key for body in bodies if body.is_stored]
        if keys:
            with suppress(KartotekaError):
                await self._archive.discard_bodies(keys)

    async def accept(
        self, body: StoredBody, metadata: dict[str, Any], *, traceparent: str | None = None
    ) -> Acceptance:
        """Write the record and the event of a stored body; afterwards it is never lost.

        Raises:
            UnavailableError: ``object_store_unavailable`` (nothing is accepted), or
                ``event_log_unavailable`` or ``overloaded`` (the record stands, so the document may
                still be indexed).
        """
        record = await self.draft(body, metadata)
        # Taken: another upload of the same document came between. The next listing shows it, so
        # each round of this loop is some other upload's success.
        while not await self._archive.create_record(record):
            record = await self.redraft(record)
        await self.publish(record, traceparent=traceparent)
        return Acceptance(record=record, traceparent=traceparent)

    async def draft(self, body: StoredBody, metadata: dict[str, Any]) -> DocumentRecord:
        """Return the record that the body would get now; nothing is written."""
        cabinet = body.cabinet.cabinet_id
        document = document_id(cabinet, body.external_id)
        newest = await self._archive.newest_version(cabinet, document)
        now = self._clock.now()
        return DocumentRecord(
            task_id=body.task_id,
            kind=TaskKind.INDEX,
            cabinet_id=cabinet,
            document_id=document,
            external_id=body.external_id,
            version=next_version(now, newest),
            filename=body.filename,
            media_type=body.media_type,
            sha256=body.sha256,
            size=body.size,
            body_key=body.key,
            metadata=metadata,
            accepted_at=now,
            replaces=newest,
        )

    async def redraft(self, record: DocumentRecord) -> DocumentRecord:
        """Return a record whose version was taken as it would be now; nothing is written."""
        newest = await self._archive.newest_version(record.cabinet_id, record.document_id)
        now = self._clock.now()
        changed = {
            "version": next_version(now, newest),
            "accepted_at": now,
            "replaces": newest,
        }
        return record.model_copy(update=changed)

    async def settle(self, record: DocumentRecord) -> bool:
        """Write the record, unless it stands; False where another task's has its version."""
        if await self._archive.create_record(record):
            return True
        task = await self._archive.task_at(record.cabinet_id, record.document_id, record.version)
        return task == record.task_id

    async def publish(self, record: DocumentRecord, *, traceparent: str | None = None) -> None:
        """Send the event of a record that stands, and before it that there is such a cabinet.

        Raises:
            UnavailableError: ``event_log_unavailable`` (outcome unknown) or ``overloaded``.
        """
        async with acknowledged_in_time():
            await self._announce(record.cabinet_id)
            await self._jobs.send(
                DocumentSubmitted.of(record), record.task_id, traceparent=traceparent
            )

    async def _announce(self, cabinet: CabinetId) -> None:
        """Make the cabinet known before its first event, once in this process's life."""
        if cabinet in self._seen:
            return
        event = CabinetSeen(cabinet_id=cabinet, at=self._clock.now())
        await self._log.send(_CABINETS, key=event.key, value=encode(event))
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen.add(cabinet)


class _Intake:
    """Hashes, counts and keeps the head of what flows through it."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self.head = bytearray()

    async def watch(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self.digest.update(chunk)
            self.size += len(chunk)
            if len(self.head) < HEAD_BYTES:
                self.head += chunk[: HEAD_BYTES - len(self.head)]
            yield chunk
        if self.size == 0:
            # Raised inside the stream, so that an empty body is never written.
            raise RequestError("empty_file")
