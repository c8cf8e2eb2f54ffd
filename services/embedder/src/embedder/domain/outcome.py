"""What a try at a job came to: a closed union, each member settled in its own way."""

from dataclasses import dataclass
from typing import TypeAlias

from kartoteka_contracts.events import IndexResult
from kartoteka_contracts.ids import TaskId
from kartoteka_contracts.reindex import RunResult

__all__ = [
    "Cancelled",
    "Continued",
    "Deleted",
    "Empty",
    "EndedElsewhere",
    "Failed",
    "Indexed",
    "Outcome",
    "RunEnded",
    "RunFailed",
    "RunJoined",
    "RunOutcome",
    "Superseded",
    "Unchanged",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """Published: a search finds it."""

    result: IndexResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty:
    """Read, and there is no text in it; nothing of the document is searchable any more."""

    result: IndexResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The same bytes, read the same way, with the same metadata, are published already."""

    result: IndexResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """All that there was up to a version is gone; ``result.deleted`` counts what this try found."""

    result: IndexResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Given up for good; what was published before stays searchable."""

    code: str
    message: str
    stage: str
    ends_task: bool = True
    """Whether the task has failed with it. Not where a cancellation failed: its task goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """Newer work of the document stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """Cancelled before it was decided; what was published before stays searchable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedElsewhere:
    """A cancellation came too late: its task's own event tells, or has told, how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """A run's step is done and its next one sent, or it was done before: nothing to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """A run came to its end; what it could not do is among the result's errors."""

    result: RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """A run was given up: for a reason of its own, never for one of its documents."""

    code: str
    message: str
    result: RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJoined:
    """A run did nothing itself: another one of the cabinet was under way."""

    run: TaskId


RunOutcome: TypeAlias = Continued | RunEnded | RunFailed | RunJoined
"""What a step of a reindex run comes to."""

Outcome: TypeAlias = (
    Indexed
    | Empty
    | Unchanged
    | Deleted
    | Failed
    | Superseded
    | Cancelled
    | EndedElsewhere
    | RunOutcome
)
