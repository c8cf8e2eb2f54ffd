"""Where a cabinet's reindex run stands."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique

from kartoteka_contracts.ids import CabinetId, TaskId
from kartoteka_contracts.reindex import ReindexRequested, RunResult

__all__ = ["RunFault", "RunState", "RunStep"]


@unique
class RunStep(StrEnum):
    """What a run is at."""

    PLANNING = "planning"
    EMITTING = "emitting"
    WATCHING = "watching"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFault:
    """Why a run was given up."""

    code: str
    """An error code of the contracts."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """One run of a cabinet: its current one, or its last. All that its next step needs is here."""

    cabinet_id: CabinetId
    run_id: TaskId
    accepted_at: datetime
    """Of the request; UTC, aware. Of two runs the later one counts."""
    request: ReindexRequested
    phase: RunStep
    changed_at: datetime
    """When this was written; UTC, aware."""
    step: int = 0
    """The number of the step that comes next."""
    page: int = 0
    waits: int = 0
    tries: int = 0
    """To plan it, without one that came to its end."""
    begun_at: datetime | None = None
    """When its first page was sent; None while it is planned."""
    result: RunResult = field(default_factory=RunResult)
    fault: RunFault | None = None
    """Of a run that ended without doing all it should."""
    epoch: int | None = None
    """Of what the run indexes anew: above those of all runs before; None where it is its time."""
    pace: float | None = None
    """Chunks a second, of the last run that indexed something."""
    whole_at: datetime | None = None
    """When the last run was asked for that did all that is new or changed; UTC, aware."""
    full_at: datetime | None = None
    """When the last run was asked for that did all documents, changed or not; UTC, aware."""
    ended: tuple[TaskId, ...] = ()
    """Runs that have ended, the last one first, as far back as they are known by name."""
    revision: int = 0
    """Counts the writes, over all runs of the cabinet."""

    @property
    def is_open(self) -> bool:
        """Whether the run is still under way."""
        return self.phase is not RunStep.ENDED
