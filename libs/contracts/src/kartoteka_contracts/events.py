"""Events: the values of Kafka records, one model for each type and version.

A change is compatible or it is a new ``schema_version``: add optional fields only. Readers ignore
fields that they do not know. Those of cabinets and of reindex runs are in modules of their own.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AwareDatetime, Field

from kartoteka_contracts.ids import Epoch
from kartoteka_contracts.reindex import RunResult
from kartoteka_contracts.tasks import Stage, TaskKind, TaskStatus
from kartoteka_contracts.wire import (
    CabinetField,
    DocumentField,
    EpochField,
    Event,
    Metadata,
    NameField,
    Sha256Field,
    TaskField,
    VersionField,
    Wire,
)

__all__ = [
    "CabinetDeletionRequested",
    "DeletedCounts",
    "DocumentDeletionRequested",
    "DocumentSubmitted",
    "IndexResult",
    "Replayable",
    "Request",
    "SourceObject",
    "Submission",
    "TaskCancellationRequested",
    "TaskError",
    "TaskProgressed",
    "TaskStatusChanged",
]


class SourceObject(Wire):
    """The object outside, of a cabinet's registered source, that a version was copied from."""

    source: NameField
    """The source's name in the cabinet's settings."""
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    """The object's path below the source's URL."""
    stamp: Annotated[str, Field(min_length=1, max_length=1024)]
    """What a listing tells of its content: entity tag, size and time of change."""


class Request(Wire):
    """What a record and its event both tell: a version that somebody asked for."""

    task_id: TaskField
    cabinet_id: CabinetField
    document_id: DocumentField
    external_id: NameField
    """The caller's name of the document, in Unicode NFC."""
    version: VersionField
    accepted_at: AwareDatetime
    replaces: VersionField | None = None
    """The version that this one follows, if there was one."""


class Submission(Request):
    """A version with content."""

    filename: NameField
    """The name of the uploaded file, as sent."""
    media_type: str
    """Sniffed from the content; ``application/octet-stream`` when it is none that is known."""
    sha256: Sha256Field
    size: Annotated[int, Field(ge=0)]
    """Bytes."""
    body_key: str
    """Where the body lies in object storage."""
    metadata: Metadata = Field(default_factory=dict)
    source: SourceObject | None = None
    """Where it was copied from; None where it was uploaded."""


class Replayable(Event):
    """Work that is tried again as another task when its dead letter is replayed."""

    replay_of: TaskField | None = None
    """The task whose dead letter is tried again by this one."""
    replays: Annotated[int, Field(ge=0)] = 0
    """How often the first task of them all was replayed, this replay included."""


class DocumentSubmitted(Submission, Replayable):
    """Work to do: index this version of a document. On the job topics."""

    key_fields: ClassVar[tuple[str, ...]] = ("cabinet_id", "document_id")

    type: Literal["document_submitted"] = "document_submitted"
    schema_version: Literal[1] = 1
    epoch: EpochField = Epoch(0)
    is_forced: bool = False
    """Whether to index it anew even where the same is published already."""

    @classmethod
    def of(cls, submission: Submission, *, epoch: Epoch | None = None) -> Self:
        """Return the event that asks for the work; epoch 0 unless it is a reindex."""
        fields = {name: getattr(submission, name) for name in Submission.model_fields}
        return cls(**fields, epoch=Epoch(0) if epoch is None else epoch)


class DocumentDeletionRequested(Request, Replayable):
    """Work to do: delete a document with all that belongs to it. On the job topics."""

    key_fields: ClassVar[tuple[str, ...]] = ("cabinet_id", "document_id")

    type: Literal["document_deletion_requested"] = "document_deletion_requested"
    schema_version: Literal[1] = 1
    epoch: EpochField = Epoch(0)

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the event that asks for the work of a record."""
        return cls(**{name: getattr(request, name) for name in Request.model_fields})


class TaskCancellationRequested(Event):
    """Work to do: end a task as cancelled, unless it has ended. On the job topics.

    Its key is that of the work, so it meets it in one worker.
    """

    key_fields: ClassVar[tuple[str, ...]] = ("cabinet_id", "document_id")

    type: Literal["task_cancellation_requested"] = "task_cancellation_requested"
    schema_version: Literal[1] = 1
    task_id: TaskField
    """The task to end, whose fields the following ones repeat."""
    cabinet_id: CabinetField
    document_id: DocumentField
    external_id: NameField
    version: VersionField
    epoch: EpochField = Epoch(0)
    filename: NameField | None = None
    accepted_at: AwareDatetime
    requested_at: AwareDatetime

    @classmethod
    def of(cls, event: DocumentSubmitted, *, requested_at: datetime) -> Self:
        """Return the event that asks for the end of another's task."""
        return cls(
            task_id=event.task_id,
            cabinet_id=event.cabinet_id,
            document_id=event.document_id,
            external_id=event.external_id,
            version=event.version,
            epoch=event.epoch,
            filename=event.filename,
            accepted_at=event.accepted_at,
            requested_at=requested_at,
        )


class CabinetDeletionRequested(Replayable):
    """Work to do: delete all documents of a cabinet up to a version. On the job topics."""

    type: Literal["cabinet_deletion_requested"] = "cabinet_deletion_requested"
    schema_version: Literal[1] = 1
    task_id: TaskField
    cabinet_id: CabinetField
    version: VersionField
    """The floor: what is uploaded later has a higher one and stays."""
    epoch: EpochField = Epoch(0)
    accepted_at: AwareDatetime

    @property
    def key(self) -> str:
        """``{cabinet}/*``: of no single document."""
        return f"{self.cabinet_id}/*"


class TaskError(Wire):
    """Why a task failed or is retried."""

    code: str
    """Stable; ``docs/errors.md`` lists them all."""
    message: str
    """For people, and with what to do next."""
    retriable: bool
    """Whether the same work may succeed later without a change to it."""


class DeletedCounts(Wire):
    """What a delete removed."""

    documents: Annotated[int, Field(ge=0)]
    chunks: Annotated[int, Field(ge=0)]
    """Points found in the index and removed from it."""
    bodies: Annotated[int, Field(ge=0)]
    """Uploaded bodies removed from object storage."""


class IndexResult(Wire):
    """What a task came to."""

    chunks: Annotated[int, Field(ge=0)] = 0
    pages: Annotated[int, Field(ge=0)] | None = None
    """Pages read, where the format has pages."""
    pages_with_text: Annotated[int, Field(ge=0)] | None = None
    characters: Annotated[int, Field(ge=0)] = 0
    """Characters of extracted text."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Wall-clock seconds by stage."""
    deleted: DeletedCounts | None = None
    """Of a delete."""
    run: RunResult | None = None
    """Of a reindex run."""


class TaskProgressed(Event):
    """A running task is at this stage. Not awaited, so some may be missing."""

    key_fields: ClassVar[tuple[str, ...]] = ("task_id",)

    type: Literal["task_progressed"] = "task_progressed"
    schema_version: Literal[1] = 1
    task_id: TaskField
    cabinet_id: CabinetField
    attempt: Annotated[int, Field(ge=0)] = 0
    stage: Stage
    progress: Annotated[float, Field(ge=0, le=1)]
    """The share of the whole task that is done, 0 to 1."""
    at: AwareDatetime


class TaskStatusChanged(Event):
    """A task is retried or has ended. Awaited: the broker has it before the work is acknowledged.

    It carries all that a view shows of a task, so that a view can be rebuilt without the job event.
    """

    key_fields: ClassVar[tuple[str, ...]] = ("task_id",)

    type: Literal["task_status_changed"] = "task_status_changed"
    schema_version: Literal[1] = 1
    task_id: TaskField
    kind: TaskKind
    status: TaskStatus
    cabinet_id: CabinetField
    document_id: DocumentField | None = None
    external_id: NameField | None = None
    version: VersionField | None = None
    epoch: EpochField = Epoch(0)
    filename: NameField | None = None
    attempt: Annotated[int, Field(ge=0)] = 0
    accepted_at: AwareDatetime
    at: AwareDatetime
    next_attempt_at: AwareDatetime | None = None
    result: IndexResult | None = None
    error: TaskError | None = None
