"""What was decided about a document: read as a Manifest, written as a Decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum, unique
from typing import Any, Final

from kartoteka_contracts.events import SourceObject
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, TaskId, Version
from kartoteka_contracts.tasks import DocumentState

__all__ = [
    "KEEP",
    "Decision",
    "Fault",
    "Keep",
    "Manifest",
    "ManifestPage",
    "Outcome",
    "Published",
    "Starts",
]


@unique
class Outcome(StrEnum):
    """What the highest decided work came to."""

    PUBLISHED = "published"
    EMPTY = "empty"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    DELETED = "deleted"
    CANCELLED = "cancelled"


@unique
class Keep(Enum):
    """The type of :data:`KEEP`."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP
"""Leave what is published as it is."""

_KEEPING: Final = frozenset({Outcome.UNCHANGED, Outcome.FAILED, Outcome.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a search finds of a document."""

    version: Version
    epoch: Epoch
    chunks: int
    sha256: str
    """Of the body that the chunks were made from."""
    fingerprint: str
    """Of the parser, the chunker and their options."""
    media_type: str
    filename: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    pages: int | None = None
    """Where the format has pages."""
    pages_with_text: int | None = None
    characters: int = 0
    """Of extracted text."""
    published_at: datetime
    """UTC, aware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why work on a document failed."""

    code: str
    """An error code of the contracts."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """Tries at one work that began and have not led to a decision."""

    version: Version
    epoch: Epoch
    begun: int = 0
    """Tries begun and not taken back."""
    killed: int = 0
    """Tries of which the parser had to be killed, or died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What stands about one document."""

    cabinet_id: CabinetId
    document_id: DocumentId
    external_id: str
    fence: Version
    """The highest decided version; 0 where nothing is decided yet."""
    epoch: Epoch
    """The epoch of that decision."""
    outcome: Outcome | None
    """None where nothing is decided yet."""
    task_id: TaskId | None
    """The task that decided."""
    published: Published | None
    error: Fault | None = None
    decided_at: datetime | None = None
    """UTC, aware."""
    affirmed: Version | None = None
    """The newest version that is indexed by what is published: its own, or one ``unchanged``."""
    starts: Starts | None = None
    """Of the highest work that was begun since the decision."""
    source: SourceObject | None = None
    """What the decided version was copied from; of a delete, what it deleted was. None where that
    was uploaded, or is not known."""
    fingerprint: str | None = None
    """Of the parser and chunker that decided; None of a delete, and of older releases."""

    @property
    def state(self) -> DocumentState:
        """What the document is, apart from tasks that are still open."""
        match self.outcome:
            case Outcome.PUBLISHED | Outcome.UNCHANGED:
                return DocumentState.INDEXED
            case Outcome.EMPTY:
                return DocumentState.EMPTY
            case Outcome.FAILED:
                return DocumentState.FAILED
            case Outcome.DELETED:
                return DocumentState.DELETED
            case Outcome.CANCELLED | None:
                return DocumentState.ACCEPTED if self.published is None else DocumentState.INDEXED


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPage:
    """Some manifests, and where the next ones begin."""

    manifests: tuple[Manifest, ...]
    cursor: str | None
    """What to ask the next page with; None at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to write about a document, if nothing of a higher (version, epoch) stands.

    ``published`` follows the outcome: a :class:`Published` of the same version and epoch for
    ``published``; None for ``empty`` and ``deleted``, which remove what was published; KEEP for
    ``unchanged``, ``failed`` and ``cancelled``, which leave it searchable.

    Raises:
        ValueError: ``published`` or ``error`` does not go with the outcome.
    """

    document_id: DocumentId
    external_id: str
    version: Version
    epoch: Epoch
    outcome: Outcome
    task_id: TaskId
    decided_at: datetime
    """UTC, aware."""
    published: Published | Keep | None = KEEP
    error: Fault | None = None
    """Given exactly where the outcome is ``failed``."""
    only_while: Published | None = None
    """Decide only while this is what is published; may be given with ``unchanged``."""
    source: SourceObject | None = None
    """What the version, or what a delete deletes, was copied from, if it was."""
    fingerprint: str | None = None
    """Of the parser and chunker of whoever decides, whatever the outcome."""

    def __post_init__(self) -> None:
        match self.published:
            case Published() as published:
                fits = self.outcome is Outcome.PUBLISHED and (
                    (published.version, published.epoch) == (self.version, self.epoch)
                )
            case None:
                fits = self.outcome in {Outcome.EMPTY, Outcome.DELETED}
            case Keep.KEEP:
                fits = self.outcome in _KEEPING
        if not fits:
            raise ValueError(f"published does not go with the outcome {self.outcome}")
        if (self.error is None) is (self.outcome is Outcome.FAILED):
            raise ValueError("an error is given exactly where the outcome is failed")
        if self.only_while is not None and self.outcome is not Outcome.UNCHANGED:
            raise ValueError("only the outcome unchanged rests on what is published")
        if self.version <= 0 or self.epoch < 0:
            raise ValueError("a version is above 0, an epoch at least 0")
