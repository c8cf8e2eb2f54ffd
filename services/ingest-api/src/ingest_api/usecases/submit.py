"""Accept a document: body, record, event; then, and only then, say so."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from ingest_api.domain.media_type import HEAD_BYTES, sniff
from ingest_api.domain.submission import next_version
from ingest_api.ports import Archive, EventLog
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import KartotekaError, RequestError, UnavailableError
from kartoteka_contracts.events import CabinetSeen, DocumentSubmitted
from kartoteka_contracts.ids import CabinetId, TaskId, document_id, new_task_id
from kartoteka_contracts.keys import body_key
from kartoteka_contracts.records import DocumentRecord
from kartoteka_contracts.tasks import TaskKind
from kartoteka_runtime.clock import Clock

__all__ = ["StoredBody", "Submit"]

_JOBS: Final = "documents.interactive"
_CABINETS: Final = "cabinets"
_MOST_SEEN: Final = 100_000
_ACK_SECONDS: Final = 4.8
"""For all that one document sends, so that a caller has an answer within 5 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBody:
    """A body that lies in object storage and that nothing refers to yet."""

    cabinet: AuthorisedCabinet
    task_id: TaskId
    external_id: str
    filename: str
    key: str
    size: int
    sha256: str
    media_type: str


class Submit:
    """Takes documents in. Needs object storage and the event log, nothing else."""

    def __init__(self, *, archive: Archive, log: EventLog, clock: Clock) -> None:
        self._archive = archive
        self._log = log
        self._clock = clock
        self._seen: set[CabinetId] = set()

    def check(self) -> None:
        """Refuse at once what could not be finished, before a body is sent for nothing.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        trouble = self._log.trouble
        if trouble is not None:
            raise UnavailableError("event_log_unavailable", f"Kafka is away: {trouble}")

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

    async def discard(self, bodies: Sequence[StoredBody]) -> None:
        """Delete bodies whose request came to nothing.

        Best effort: what stays is an orphan, which reconciliation removes.
        """
        if bodies:
            with suppress(KartotekaError):
                await self._archive.discard_bodies([body.key for body in bodies])

    async def accept(
        self, body: StoredBody, metadata: dict[str, Any], *, traceparent: str | None = None
    ) -> DocumentRecord:
        """Write the record and the event of a stored body; afterwards it is never lost.

        Raises:
            UnavailableError: ``object_store_unavailable`` (nothing is accepted), or
                ``event_log_unavailable`` or ``overloaded`` (the record stands, so the document may
                still be indexed).
        """
        record = await self._record(body, metadata)
        try:
            async with asyncio.timeout(_ACK_SECONDS):
                await self._publish(record, traceparent)
        except TimeoutError as error:
            raise UnavailableError("event_log_unavailable") from error
        return record

    async def _publish(self, record: DocumentRecord, traceparent: str | None) -> None:
        await self._announce(record.cabinet_id)
        event = DocumentSubmitted.of(record)
        event_id = uuid5(UUID(record.task_id), event.type)
        envelope = Envelope(event_id=str(event_id), traceparent=traceparent)
        await self._log.send(
            _JOBS, key=event.key, value=encode(event), headers=envelope.to_headers()
        )

    async def _record(self, body: StoredBody, metadata: dict[str, Any]) -> DocumentRecord:
        cabinet = body.cabinet.cabinet_id
        document = document_id(cabinet, body.external_id)
        while True:
            newest = await self._archive.newest_version(cabinet, document)
            now = self._clock.now()
            record = DocumentRecord(
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
            # Taken: another upload of the same document came between. The next listing shows it,
            # so each round of this loop is some other upload's success.
            if await self._archive.create_record(record):
                return record

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
