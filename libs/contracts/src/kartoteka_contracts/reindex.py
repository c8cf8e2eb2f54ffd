"""Reindex runs: what asks for one, what keeps it going, and what it comes to."""

from enum import StrEnum, unique
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from kartoteka_contracts.wire import CabinetField, DocumentField, Event, TaskField, Wire

__all__ = [
    "ReindexMode",
    "ReindexRequested",
    "ReindexTrigger",
    "RunContinued",
    "RunCounts",
    "RunError",
    "RunPhase",
    "RunProgressed",
    "RunResult",
    "SlotsEmitted",
]

_Count = Annotated[int, Field(ge=0)]


@unique
class ReindexMode(StrEnum):
    """Which documents a run indexes."""

    CHANGED = "changed"
    """New, changed and stale ones; removes vanished ones."""
    FULL = "full"
    """All but the failed, changed or not."""
    FAILED = "failed"
    """Only those whose newest version failed."""


@unique
class ReindexTrigger(StrEnum):
    """Who asked for a run."""

    SCHEDULE = "schedule"
    MANUAL = "manual"


@unique
class RunPhase(StrEnum):
    """What a run that was planned is at."""

    EMITTING = "emitting"
    """Its pages are sent as document events, one after the other."""
    WATCHING = "watching"
    """All are sent; their ends are awaited."""


class ReindexRequested(Event):
    """Work to do: compare a cabinet with its sources and index what differs."""

    type: Literal["reindex_requested"] = "reindex_requested"
    schema_version: Literal[1] = 1
    task_id: TaskField
    """The run. Of a schedule's it is derived from cabinet and slot: the same slot is one run."""
    cabinet_id: CabinetField
    mode: ReindexMode = ReindexMode.CHANGED
    trigger: ReindexTrigger
    slot: AwareDatetime | None = None
    """The schedule's nominal time; None where it was asked for by hand."""
    document_ids: Annotated[list[DocumentField], Field(max_length=1000)] | None = None
    """Only these; None for all."""
    is_vanishing_confirmed: bool = False
    """Whether documents are removed even where suspiciously many have vanished."""
    accepted_at: AwareDatetime

    @property
    def key(self) -> str:
        """``{cabinet}``."""
        return str(self.cabinet_id)


class RunCounts(Wire):
    """Documents of a run."""

    seen: _Count = 0
    """Looked at: documents of the cabinet and objects of its sources."""
    new: _Count = 0
    """To be indexed for the first time."""
    changed: _Count = 0
    """To be indexed because their object has changed."""
    stale: _Count = 0
    """To be indexed because parser, chunker or their options have changed."""
    forced: _Count = 0
    """To be indexed because the mode says so."""
    vanished: _Count = 0
    """To be removed because their object is gone."""
    unchanged: _Count = 0
    """As they should be: nothing is done, and none of their bytes are read."""
    pending: _Count = 0
    """Accepted and not yet decided: their own tasks do it."""
    failed_before: _Count = 0
    """Left alone because their newest version failed; mode ``failed`` tries them again."""


class RunError(Wire):
    """One document that a run could not bring to a good end."""

    document_id: DocumentField | None = None
    external_id: str
    """The document's name."""
    code: str
    """Stable; ``docs/errors.md`` lists them all."""
    message: str


class RunResult(Wire):
    """What a run has come to."""

    success: _Count = 0
    """Documents that are as they should be now because of this run, removed ones included."""
    errors: list[RunError] = Field(default_factory=list)
    """The first hundred that are not."""
    failed: _Count = 0
    """How many there are of those in all."""
    overtaken: _Count = 0
    """Documents that newer work, a delete or a cancellation took out of the run's hands."""
    total: _Count = 0
    """Documents that the run has work for."""
    counts: RunCounts = Field(default_factory=RunCounts)
    eta_seconds: Annotated[float, Field(ge=0)] | None = None
    """Estimated seconds until the end, from the pace so far; None before there is one."""
    joined: TaskField | None = None
    """The run that was under way already, where this one did nothing itself."""


class RunContinued(Event):
    """Work to do: the next step of a run that is planned."""

    type: Literal["run_continued"] = "run_continued"
    schema_version: Literal[1] = 1
    task_id: TaskField
    cabinet_id: CabinetField
    phase: RunPhase
    step: _Count = 0
    """Counts the steps of a run; one that was done before is left out."""
    page: _Count = 0
    """While emitting the next page to send; while watching the first that is not all decided."""
    waits: _Count = 0
    """Steps in a row that came to nothing: the next one waits longer."""
    begun_at: AwareDatetime
    """When the first page was sent."""
    result: RunResult = Field(default_factory=RunResult)
    """Of the pages before ``page``."""
    accepted_at: AwareDatetime

    @property
    def key(self) -> str:
        """``{cabinet}``."""
        return str(self.cabinet_id)


class RunProgressed(Event):
    """A running reindex run has come so far. Not awaited, so some may be missing."""

    key_fields: ClassVar[tuple[str, ...]] = ("task_id",)

    type: Literal["run_progressed"] = "run_progressed"
    schema_version: Literal[1] = 1
    task_id: TaskField
    cabinet_id: CabinetField
    progress: Annotated[float, Field(ge=0, le=1)]
    """The share of the whole run that is done, 0 to 1."""
    result: RunResult
    at: AwareDatetime


class SlotsEmitted(Event):
    """All slots of all cabinets up to a time are emitted. Written after the emits."""

    type: Literal["slots_emitted"] = "slots_emitted"
    schema_version: Literal[1] = 1
    up_to: AwareDatetime

    @property
    def key(self) -> str:
        """Constant: the last one counts."""
        return "watermark"
