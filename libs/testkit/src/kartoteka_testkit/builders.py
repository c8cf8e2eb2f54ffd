"""Valid values with defaults, so that a test names only what it is about."""

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DeletedCounts,
    DocumentDeletionRequested,
    DocumentSubmitted,
    IndexResult,
    TaskCancellationRequested,
    TaskProgressed,
    TaskStatusChanged,
)
from kartoteka_contracts.ids import CabinetId, TaskId, Version, document_id, new_task_id
from kartoteka_contracts.keys import body_key
from kartoteka_contracts.records import DeletionRecord, DocumentRecord
from kartoteka_contracts.tasks import Stage, TaskKind, TaskStatus

__all__ = [
    "EPOCH",
    "cabinet_deletion",
    "cancellation",
    "deletion",
    "deletion_ended",
    "deletion_record",
    "progressed",
    "record",
    "status_changed",
    "submitted",
]

EPOCH: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
"""The time of everything that says no other."""


def record(
    *,
    cabinet: int = 7,
    external_id: str = "report.pdf",
    version: int = 1_000,
    task_id: str | None = None,
    body: bytes = b"text",
    **fields: Any,
) -> DocumentRecord:
    """Return the record of an upload."""
    cabinet_id = CabinetId(cabinet)
    document = document_id(cabinet_id, external_id)
    task = new_task_id() if task_id is None else TaskId(task_id)
    values: dict[str, Any] = {
        "task_id": task,
        "cabinet_id": cabinet_id,
        "document_id": document,
        "external_id": external_id,
        "version": Version(version),
        "filename": external_id,
        "media_type": "text/plain",
        "sha256": hashlib.sha256(body).hexdigest(),
        "size": len(body),
        "body_key": body_key(cabinet_id, document, task),
        "accepted_at": EPOCH,
    }
    return DocumentRecord(**(values | fields))


def submitted(**fields: Any) -> DocumentSubmitted:
    """Return the event of an upload; takes what :func:`record` takes, and ``epoch``."""
    epoch = fields.pop("epoch", None)
    return DocumentSubmitted.of(record(**fields), epoch=epoch)


def deletion_record(
    *,
    cabinet: int = 7,
    external_id: str = "report.pdf",
    version: int = 2_000,
    task_id: str | None = None,
    accepted_at: datetime = EPOCH,
) -> DeletionRecord:
    """Return the record of a document's delete."""
    cabinet_id = CabinetId(cabinet)
    return DeletionRecord(
        task_id=new_task_id() if task_id is None else TaskId(task_id),
        cabinet_id=cabinet_id,
        document_id=document_id(cabinet_id, external_id),
        external_id=external_id,
        version=Version(version),
        accepted_at=accepted_at,
    )


def deletion(**fields: Any) -> DocumentDeletionRequested:
    """Return the event of a document's delete; takes what :func:`deletion_record` takes."""
    return DocumentDeletionRequested.of(deletion_record(**fields))


def cancellation(event: DocumentSubmitted) -> TaskCancellationRequested:
    """Return the event that cancels the task of another."""
    return TaskCancellationRequested.of(event, requested_at=EPOCH)


def cabinet_deletion(*, cabinet: int = 7, version: int = 2_000) -> CabinetDeletionRequested:
    """Return the event of a cabinet's delete."""
    return CabinetDeletionRequested(
        task_id=new_task_id(),
        cabinet_id=CabinetId(cabinet),
        version=Version(version),
        accepted_at=EPOCH,
    )


def deletion_ended(
    event: DocumentDeletionRequested | CabinetDeletionRequested,
    status: TaskStatus = TaskStatus.SUCCEEDED,
    **fields: Any,
) -> TaskStatusChanged:
    """Return the end of a delete."""
    document = event if isinstance(event, DocumentDeletionRequested) else None
    counts = DeletedCounts(documents=1, chunks=12, bodies=2)
    values: dict[str, Any] = {
        "result": IndexResult(deleted=counts) if status is TaskStatus.SUCCEEDED else None,
        "at": EPOCH,
    }
    return TaskStatusChanged(
        task_id=event.task_id,
        kind=TaskKind.DELETE,
        status=status,
        cabinet_id=event.cabinet_id,
        document_id=None if document is None else document.document_id,
        external_id=None if document is None else document.external_id,
        version=event.version,
        epoch=event.epoch,
        accepted_at=event.accepted_at,
        **(values | fields),
    )


def progressed(event: DocumentSubmitted, stage: Stage, *, attempt: int = 0) -> TaskProgressed:
    """Return the progress of a task."""
    return TaskProgressed(
        task_id=event.task_id,
        cabinet_id=event.cabinet_id,
        attempt=attempt,
        stage=stage,
        progress=0.5,
        at=EPOCH,
    )


def status_changed(
    event: DocumentSubmitted, status: TaskStatus, *, attempt: int = 0, **fields: Any
) -> TaskStatusChanged:
    """Return a retry or an end of a task."""
    return TaskStatusChanged(
        task_id=event.task_id,
        kind=TaskKind.INDEX,
        status=status,
        cabinet_id=event.cabinet_id,
        document_id=event.document_id,
        external_id=event.external_id,
        version=event.version,
        epoch=event.epoch,
        filename=event.filename,
        attempt=attempt,
        accepted_at=event.accepted_at,
        at=EPOCH,
        **fields,
    )
