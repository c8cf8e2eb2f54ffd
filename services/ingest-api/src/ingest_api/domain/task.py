"""A task as a view shows it, and the rule by which records about it become one state.

Records come from several topics, so they arrive in any order and any number of times. The rule
makes the outcome independent of both: the highest record wins, and an end is final.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum, unique
from typing import Final

from kartoteka_contracts.events import IndexResult, TaskError
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, TaskId, Version
from kartoteka_contracts.reindex import RunResult
from kartoteka_contracts.tasks import Stage, TaskKind, TaskStatus, rank

__all__ = ["Order", "Queue", "Task", "is_lower", "merged"]

_UPLOADED: Final = Epoch(0)

Order = tuple[int, float, int, float, float]
"""The place of a record among all that can be said of one task."""


@unique
class Queue(StrEnum):
    """Where the work of a document's task waited at first."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is known of a task; also one record's say about it, where the rest is None."""

    task_id: TaskId
    cabinet_id: CabinetId
    status: TaskStatus
    updated_at: datetime
    """When it came into this state."""
    stage: Stage | None = None
    progress: float = 0.0
    """The share of the task that is done, 0 to 1; an ended task is done."""
    attempt: int = 0
    next_attempt_at: datetime | None = None
    result: IndexResult | None = None
    error: TaskError | None = None
    run: RunResult | None = None
    """What a reindex run that is under way has come to so far; its end has it in ``result``."""

    kind: TaskKind | None = None
    """None while only progress was seen, which does not say it; the fields below likewise."""
    document_id: DocumentId | None = None
    external_id: str | None = None
    version: Version | None = None
    epoch: Epoch = _UPLOADED
    filename: str | None = None
    replay_of: TaskId | None = None
    """The task that failed, where this one tries its work again."""
    accepted_at: datetime | None = None
    queue: Queue | None = None

    @property
    def is_complete(self) -> bool:
        """Whether a record that says what the task is was seen, not progress alone."""
        return self.kind is not None

    @property
    def order(self) -> Order:
        """The place of this state: by (attempt, rank), then progress.

        Every end stands above everything else, whatever its attempt, or a late record of an older
        attempt would keep a task open for ever. Among ends the earliest is the highest.

        A run's progress does not say its attempt, and comes after all tries to plan it: it stands
        above them, whatever theirs. Of two that are equally far the later one counts.
        """
        at = self.updated_at.timestamp()
        if self.status.is_end:
            return (1, -at, 0, 0.0, 0.0)
        place = rank(self.status, self.stage)
        if self.run is not None:
            return (0, math.inf, place, self.progress, at)
        return (0, float(self.attempt), place, self.progress, 0.0)


def merged(stored: Task | None, seen: Task) -> Task:
    """Return the state after a record.

    The facts (document, names, times of acceptance) are filled in from either, since they never
    change; the state moves only upwards, and from an end not at all. A record that names another
    cabinet is not about this task and changes nothing.
    """
    if stored is None:
        return seen
    if stored.cabinet_id != seen.cabinet_id:
        return stored
    rises = not stored.status.is_end and seen.order > stored.order
    state, other = (seen, stored) if rises else (stored, seen)
    return replace(
        state,
        kind=state.kind or other.kind,
        document_id=state.document_id or other.document_id,
        external_id=state.external_id or other.external_id,
        version=state.version or other.version,
        epoch=state.epoch or other.epoch,
        filename=state.filename or other.filename,
        replay_of=state.replay_of or other.replay_of,
        accepted_at=state.accepted_at or other.accepted_at,
        queue=_queue(state, other),
    )


def _queue(one: Task, other: Task) -> Queue | None:
    """Return where the work waited at first: what was lost is sent again, always as bulk."""
    queues = {one.queue, other.queue}
    if Queue.INTERACTIVE in queues:
        return Queue.INTERACTIVE
    return Queue.BULK if Queue.BULK in queues else None


def is_lower(seen: Task, stored: Task) -> bool:
    """Whether a record stands below the stored state.

    Compaction keeps a key's last record, not its highest: where a lower one came last, the stored
    one must be written again. Of two ends only the earlier is ever written again, so that views
    which met them in different orders do not answer each other for ever.
    """
    return stored.cabinet_id == seen.cabinet_id and seen.order < stored.order
