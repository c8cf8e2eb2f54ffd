"""A job: one delivered piece of work, and the right to go on with it."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from kartoteka_contracts.access import AuthorisedCabinet, grant
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
)
from kartoteka_contracts.ids import DocumentId, Epoch, Version
from kartoteka_contracts.reindex import ReindexRequested, RunContinued
from kartoteka_contracts.tasks import TaskKind

__all__ = ["DocumentEvent", "Job", "JobEvent", "Lease", "Origin", "RawRecord", "RunEvent"]

DocumentEvent: TypeAlias = (
    DocumentSubmitted
    | DocumentDeletionRequested
    | CabinetDeletionRequested
    | TaskCancellationRequested
)
"""What a job topic may hold."""

RunEvent: TypeAlias = ReindexRequested | RunContinued
"""What the topic of reindex runs may hold."""

JobEvent: TypeAlias = DocumentEvent | RunEvent
"""All that a worker does."""

_OfCabinet: TypeAlias = CabinetDeletionRequested | RunEvent
_ALIKE: Final = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRecord:
    """A record as Kafka delivered it."""

    origin: Origin
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A record that could be read."""

    record: RawRecord
    event: JobEvent
    envelope: Envelope

    @property
    def order(self) -> tuple[int, int]:
        """(version, epoch): the higher work wins. Steps of runs are alike: none ends another."""
        if isinstance(self.event, RunEvent):
            return _ALIKE
        return (self.event.version, self.event.epoch)

    @property
    def version(self) -> Version | None:
        """The version that it is about; None of a run, which has none."""
        return None if isinstance(self.event, RunEvent) else self.event.version

    @property
    def epoch(self) -> Epoch:
        """The epoch of the work."""
        return Epoch(0) if isinstance(self.event, RunEvent) else self.event.epoch

    @property
    def cabinet(self) -> AuthorisedCabinet:
        """The cabinet of the event: access was checked before the event was accepted."""
        return grant(self.event.cabinet_id)

    @property
    def submission(self) -> DocumentSubmitted:
        """The event, which is a document to index.

        Raises:
            TypeError: it is another one.
        """
        if not isinstance(self.event, DocumentSubmitted):
            raise TypeError(f"{self.event.type} is no document to index")
        return self.event

    @property
    def kind(self) -> TaskKind:
        """What the event's task does; of a cancellation, what the task does that it ends."""
        match self.event:
            case DocumentSubmitted() | TaskCancellationRequested():
                return TaskKind.INDEX
            case DocumentDeletionRequested() | CabinetDeletionRequested():
                return TaskKind.DELETE
            case ReindexRequested() | RunContinued():
                return TaskKind.REINDEX

    @property
    def document_id(self) -> DocumentId | None:
        """Which document it is about; None where it is about a whole cabinet."""
        return None if isinstance(self.event, _OfCabinet) else self.event.document_id

    @property
    def external_id(self) -> str | None:
        """The caller's name of that document."""
        return None if isinstance(self.event, _OfCabinet) else self.event.external_id

    @property
    def filename(self) -> str | None:
        """The uploaded file's name, where there is one."""
        match self.event:
            case DocumentSubmitted() | TaskCancellationRequested():
                return self.event.filename
            case _:
                return None


class Lease:
    """The right to go on with a job.

    It ends when newer work of the document arrives here, or its
    partition goes to another worker; the index's fence stays the last word.
    """

    def __init__(self) -> None:
        self._ended: str | None = None

    @property
    def ended(self) -> str | None:
        """Why the work must stop; None while it may go on."""
        return self._ended

    def end(self, reason: str) -> None:
        """End it. The first reason stays."""
        self._ended = self._ended or reason
