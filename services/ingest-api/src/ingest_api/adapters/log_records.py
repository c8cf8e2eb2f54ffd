"""Kafka records as what a view sees in them."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from ingest_api.adapters.cabinet_records import cabinet_record
from ingest_api.adapters.letter_records import letter_seen
from ingest_api.adapters.log_record import LogRecord
from ingest_api.domain.log_batch import (
    CabinetSettled,
    CabinetSighting,
    DeadLetterSeen,
    LetterMarked,
    LogBatch,
    Partition,
    TaskSeen,
)
from ingest_api.domain.task import Queue, Task
from kartoteka_contracts.codec import decode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import EventError, MalformedEventError
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
    TaskProgressed,
    TaskStatusChanged,
)
from kartoteka_contracts.ids import MAX_EXACT_INTEGER
from kartoteka_contracts.reindex import ReindexRequested, RunContinued, RunProgressed
from kartoteka_contracts.tasks import TaskKind, TaskStatus
from kartoteka_contracts.wire import Event

__all__ = ["BatchBuilder", "status_event"]

_DEAD_LETTERS: Final = "documents.dlq"
_STATUS: Final = "task.status"
_CABINETS: Final = "cabinets"
_QUEUES: Final = {"documents.interactive": Queue.INTERACTIVE, "documents.bulk": Queue.BULK}
_DONE: Final = 1.0
_NO_STATES: Final = (TaskCancellationRequested, RunContinued)
"""A wish, and a planner's word to itself: neither says how far a task is."""


@dataclass(slots=True, kw_only=True)
class BatchBuilder:
    """Collects records; one that cannot be read is counted and left out, never in the way."""

    tasks: list[TaskSeen] = field(default_factory=list)
    dead_letters: list[DeadLetterSeen] = field(default_factory=list)
    marks: list[LetterMarked] = field(default_factory=list)
    cabinets: list[CabinetSighting | CabinetSettled] = field(default_factory=list)
    unreadable: list[tuple[Partition, int, str]] = field(default_factory=list)
    """Where it lies, and why it was left out."""

    def add(self, record: LogRecord) -> None:
        """Read one record."""
        try:
            self._read(record)
        except EventError as error:
            where = Partition(record.topic, record.partition)
            self.unreadable.append((where, record.offset, error.message))

    def batch(self, positions: dict[Partition, int]) -> LogBatch:
        """Return what was collected, with the offsets to read on from."""
        return LogBatch(
            positions=positions,
            tasks=tuple(self.tasks),
            dead_letters=tuple(self.dead_letters),
            marks=tuple(self.marks),
            cabinets=tuple(self.cabinets),
        )

    def _read(self, record: LogRecord) -> None:
        if record.topic == _DEAD_LETTERS:
            self._read_letter(record)
        elif record.topic == _CABINETS:
            self.cabinets.append(cabinet_record(record))
        elif record.value is not None or record.topic != _STATUS:
            # A tombstone on the status topic means nothing here: ended tasks leave by age.
            event = decode(record.value)
            if not isinstance(event, _NO_STATES):
                self.tasks.append(_task_seen(event, record))

    def _read_letter(self, record: LogRecord) -> None:
        match letter_seen(record):
            case DeadLetterSeen() as letter:
                self.dead_letters.append(letter)
            case LetterMarked() as mark:
                self.marks.append(mark)


def status_event(task: Task) -> TaskStatusChanged:
    """Return the event that says what the view knows of a task that is retried or has ended.

    Raises:
        ValueError: too little is known of it.
    """
    if task.kind is None or task.accepted_at is None:
        raise ValueError("a task of which only progress was seen")
    return TaskStatusChanged(
        task_id=task.task_id,
        kind=task.kind,
        status=task.status,
        cabinet_id=task.cabinet_id,
        document_id=task.document_id,
        external_id=task.external_id,
        version=task.version,
        epoch=task.epoch,
        filename=task.filename,
        attempt=task.attempt,
        accepted_at=task.accepted_at,
        at=task.updated_at,
        next_attempt_at=task.next_attempt_at,
        result=task.result,
        error=task.error,
    )


def _task_seen(event: Event, record: LogRecord) -> TaskSeen:
    task = _task(event, record)
    if task.attempt > MAX_EXACT_INTEGER:
        raise MalformedEventError("the attempt is no number of tries")
    return TaskSeen(
        task=replace(task, queue=_QUEUES.get(record.topic)),
        is_compacted=record.topic == _STATUS,
        logged_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
    )


def _task(event: Event, record: LogRecord) -> Task:
    match event:
        case DocumentSubmitted():
            return _submitted(event, Envelope.from_headers(record.headers).attempt)
        case DocumentDeletionRequested() | CabinetDeletionRequested():
            return _deletion(event, Envelope.from_headers(record.headers).attempt)
        case TaskProgressed():
            return Task(
                task_id=event.task_id,
                cabinet_id=event.cabinet_id,
                status=TaskStatus.RUNNING,
                stage=event.stage,
                progress=event.progress,
                attempt=event.attempt,
                updated_at=event.at,
            )
        case ReindexRequested():
            return _requested(event, Envelope.from_headers(record.headers).attempt)
        case RunProgressed():
            return Task(
                task_id=event.task_id,
                cabinet_id=event.cabinet_id,
                status=TaskStatus.RUNNING,
                progress=event.progress,
                updated_at=event.at,
                run=event.result,
            )
        case TaskStatusChanged():
            return _changed(event)
        case _:
            raise MalformedEventError(f"{event.type} does not belong on {record.topic}")


def _submitted(event: DocumentSubmitted, attempt: int) -> Task:
    return Task(
        task_id=event.task_id,
        cabinet_id=event.cabinet_id,
        kind=TaskKind.INDEX,
        status=TaskStatus.QUEUED,
        attempt=attempt,
        document_id=event.document_id,
        external_id=event.external_id,
        version=event.version,
        epoch=event.epoch,
        filename=event.filename,
        replay_of=event.replay_of,
        accepted_at=event.accepted_at,
        updated_at=event.accepted_at,
    )


def _deletion(event: DocumentDeletionRequested | CabinetDeletionRequested, attempt: int) -> Task:
    document = event if isinstance(event, DocumentDeletionRequested) else None
    return Task(
        task_id=event.task_id,
        cabinet_id=event.cabinet_id,
        kind=TaskKind.DELETE,
        status=TaskStatus.QUEUED,
        attempt=attempt,
        document_id=None if document is None else document.document_id,
        external_id=None if document is None else document.external_id,
        version=event.version,
        epoch=event.epoch,
        replay_of=event.replay_of,
        accepted_at=event.accepted_at,
        updated_at=event.accepted_at,
    )


def _requested(event: ReindexRequested, attempt: int) -> Task:
    return Task(
        task_id=event.task_id,
        cabinet_id=event.cabinet_id,
        kind=TaskKind.REINDEX,
        status=TaskStatus.QUEUED,
        attempt=attempt,
        accepted_at=event.accepted_at,
        updated_at=event.accepted_at,
    )


def _changed(event: TaskStatusChanged) -> Task:
    return Task(
        task_id=event.task_id,
        cabinet_id=event.cabinet_id,
        kind=event.kind,
        status=event.status,
        progress=_DONE if event.status.is_end else 0.0,
        attempt=event.attempt,
        document_id=event.document_id,
        external_id=event.external_id,
        version=event.version,
        epoch=event.epoch,
        filename=event.filename,
        accepted_at=event.accepted_at,
        updated_at=event.at,
        next_attempt_at=event.next_attempt_at,
        result=event.result,
        error=event.error,
    )
