"""A task's states: which there are, and which may follow which."""

from enum import StrEnum, unique
from typing import Final

__all__ = ["DocumentState", "Stage", "TaskKind", "TaskStatus", "rank"]


@unique
class TaskKind(StrEnum):
    """What a task does."""

    INDEX = "index"
    DELETE = "delete"
    REINDEX = "reindex"


@unique
class TaskStatus(StrEnum):
    """Where a task is. Everything after ``retrying`` is an end, and an end is final."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    EMPTY = "empty"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        """Whether nothing may follow."""
        return self not in _OPEN


@unique
class Stage(StrEnum):
    """What a running task is at, in order."""

    FETCHING = "fetching"
    PARSING = "parsing"
    CHUNKING = "chunking"
    EMBEDDING = "embedding"
    WRITING = "writing"


@unique
class DocumentState(StrEnum):
    """What a document is, read from its manifest and its open tasks."""

    ACCEPTED = "accepted"
    INDEXED = "indexed"
    EMPTY = "empty"
    FAILED = "failed"
    DELETED = "deleted"


_OPEN: Final = frozenset({TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.RETRYING})
_END_RANK: Final = 90
_STAGE_RANK: Final = {stage: 20 + 10 * n for n, stage in enumerate(Stage)}


def rank(status: TaskStatus, stage: Stage | None = None) -> int:
    """Return the place of a state within one attempt: a view only ever moves to a higher one.

    ``retrying`` ends an attempt, so it stands above every stage of it and below the ends.
    """
    match status:
        case TaskStatus.QUEUED:
            return 10
        case TaskStatus.RUNNING:
            return _STAGE_RANK[stage] if stage is not None else 15
        case TaskStatus.RETRYING:
            return 80
        case _:
            return _END_RANK
