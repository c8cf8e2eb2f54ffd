"""What clients have asked for: accepted as ingest-api accepts it, and remembered for the checks."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid5

from ingest_api.adapters.letter_records import letter_seen
from ingest_api.domain.dead_letter import LetterId, StoredLetter
from ingest_api.domain.instant import microseconds
from ingest_api.domain.log_batch import DeadLetterSeen
from ingest_api.domain.replay import replay_of
from ingest_api.domain.submission import next_version
from kartoteka_contracts.codec import decode, encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
)
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, TaskId, Version, document_id
from kartoteka_contracts.keys import (
    body_key,
    cabinet_deletion_key,
    cancel_key,
    record_key,
    record_prefix,
    record_version,
    records_prefix,
)
from kartoteka_contracts.records import DeletionRecord, DocumentRecord, encode_record, read_record
from tests.model.memory_log import Stored
from tests.model.worker import Stores

__all__ = ["CABINETS", "DOCUMENTS", "Accepted", "Api", "Document", "JobRequest"]

Work = DocumentSubmitted | DocumentDeletionRequested | CabinetDeletionRequested
JobRequest = Work | TaskCancellationRequested
Document = tuple[CabinetId, str]

CABINETS: Final = (CabinetId(1), CabinetId(11))
DOCUMENTS: Final[tuple[Document, ...]] = (
    (CABINETS[0], "a"),
    (CABINETS[0], "b"),
    (CABINETS[1], "a"),
)
_NAMESPACE: Final = UUID("00000000-0000-5000-8000-000000000000")
_MAX_REPLAYS: Final = 3


@dataclass(slots=True, kw_only=True)
class Accepted:
    """One task."""

    event: Work
    body: str = ""
    is_sent: bool = True
    """Whether its event was sent; its record is there in any case."""
    has_record: bool = True
    """False where it does the work of a record anew."""

    @property
    def order(self) -> tuple[int, int]:
        """(version, epoch)."""
        return (self.event.version, self.event.epoch)


@dataclass(slots=True)
class Api:
    """Takes requests in, all at once: how it crashes in between is told by ``is_sent``."""

    stores: Stores
    tasks: dict[TaskId, Accepted] = field(default_factory=dict)
    replayed: set[tuple[int, int]] = field(default_factory=set)
    _count: int = 0

    def upload(
        self, document: Document, body: str, metadata: dict[str, Any], topic: str, *, is_sent: bool
    ) -> Accepted:
        """Accept a version."""
        cabinet, name = document
        task, key = self._task(), document_id(cabinet, name)
        content = body.encode()
        record = DocumentRecord(
            task_id=task,
            cabinet_id=cabinet,
            document_id=key,
            external_id=name,
            version=self._version(record_prefix(cabinet, key)),
            accepted_at=self.stores.clock.now(),
            filename=name,
            media_type="text/plain",
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            body_key=body_key(cabinet, key, task),
            metadata=metadata,
        )
        self.stores.objects.put(record.body_key, content)
        self._create(record)
        event = DocumentSubmitted.of(record)
        return self._accept(Accepted(event=event, body=body, is_sent=is_sent), topic)

    def delete(self, document: Document, topic: str, *, is_sent: bool) -> Accepted:
        """Accept a delete."""
        cabinet, name = document
        key = document_id(cabinet, name)
        record = DeletionRecord(
            task_id=self._task(),
            cabinet_id=cabinet,
            document_id=key,
            external_id=name,
            version=self._version(record_prefix(cabinet, key)),
            accepted_at=self.stores.clock.now(),
        )
        self._create(record)
        event = DocumentDeletionRequested.of(record)
        return self._accept(Accepted(event=event, is_sent=is_sent), topic)

    def delete_cabinet(self, cabinet: CabinetId, topic: str, *, is_sent: bool) -> Accepted:
        """Accept a cabinet's delete."""
        event = CabinetDeletionRequested(
            task_id=self._task(),
            cabinet_id=cabinet,
            version=self._version(records_prefix(cabinet)),
            accepted_at=self.stores.clock.now(),
        )
        self.stores.objects.create(cabinet_deletion_key(cabinet, event.version), encode(event))
        return self._accept(Accepted(event=event, is_sent=is_sent), topic)

    def cancel(self, task: Accepted, topic: str, *, is_sent: bool) -> None:
        """Accept that a task is to be cancelled."""
        event = task.event
        if not isinstance(event, DocumentSubmitted):
            raise TypeError("only an upload can be cancelled")
        request = TaskCancellationRequested.of(event, requested_at=self.stores.clock.now())
        mark = cancel_key(event.cabinet_id, event.document_id, event.version, event.task_id)
        self.stores.objects.create(mark, encode(request))
        if is_sent:
            self._send(request, topic)

    def reindex(self, document: Document) -> Accepted | None:
        """Ask for the newest record once more, at a higher epoch; None where that is a delete."""
        cabinet, name = document
        keys = self.stores.objects.keys(record_prefix(cabinet, document_id(cabinet, name)))
        newest = max((key for key in keys if record_version(key)), default=None)
        record = None if newest is None else read_record(self.stores.objects.get(newest))
        if not isinstance(record, DocumentRecord):
            return None
        original = self.tasks[record.task_id]
        event = DocumentSubmitted.of(record, epoch=self._epoch()).model_copy(
            update={"task_id": self._task()}
        )
        accepted = Accepted(event=event, body=original.body, has_record=False)
        return self._accept(accepted, "documents.bulk")

    def replay(self, record: Stored) -> None:
        """Try a dead letter's work again."""
        letter = letter_seen(record)
        if not isinstance(letter, DeadLetterSeen) or letter.content.replays >= _MAX_REPLAYS:
            return
        self.replayed.add((record.partition, record.offset))
        stored = StoredLetter(
            id=LetterId(record.partition, record.offset),
            key=letter.key,
            letter=letter.letter,
            content=letter.content,
            dead_at=letter.logged_at,
        )
        self._epoch()
        replay = replay_of(stored, record.value or b"", self.stores.clock.now())
        event = decode(replay.value)
        if not isinstance(event, TaskCancellationRequested):
            assert isinstance(event, Work)
            known = self.tasks[event.replay_of or event.task_id]
            accepted = Accepted(event=event, body=known.body, has_record=False)
            if event.task_id in self.tasks:
                return  # another letter of the same work was replayed
            self.tasks[event.task_id] = accepted
        self.stores.log.append(replay.topic, replay.key, replay.value, replay.headers)

    # --- small things ---------------------------------------------------------------------------

    def _accept(self, accepted: Accepted, topic: str) -> Accepted:
        self.tasks[accepted.event.task_id] = accepted
        if accepted.is_sent:
            self._send(accepted.event, topic)
        return accepted

    def _send(self, event: JobRequest, topic: str) -> None:
        event_id = str(uuid5(UUID(event.task_id), event.type))
        headers = Envelope(event_id=event_id).to_headers()
        self.stores.log.append(topic, event.key, encode(event), headers)

    def _create(self, record: DocumentRecord | DeletionRecord) -> None:
        key = record_key(record.cabinet_id, record.document_id, record.version)
        if not self.stores.objects.create(key, encode_record(record)):
            raise AssertionError(f"{key} was there")

    def _version(self, prefix: str) -> Version:
        versions = (record_version(key) for key in self.stores.objects.keys(prefix))
        newest = max((version for version in versions if version is not None), default=None)
        return next_version(self.stores.clock.now(), newest)

    def _epoch(self) -> Epoch:
        return Epoch(microseconds(self.stores.clock.now()))

    def _task(self) -> TaskId:
        self._count += 1
        return TaskId(str(uuid5(_NAMESPACE, str(self._count))))

    def document_of(self, key: DocumentId) -> Document:
        """Return whose id this is."""
        return next(one for one in DOCUMENTS if document_id(*one) == key)
