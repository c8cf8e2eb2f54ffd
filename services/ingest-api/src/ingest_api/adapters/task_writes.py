"""Records about tasks, written into the view's file: one row each, merged from all that came."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from ingest_api.adapters.catalogue_deletions import Deletions, forget
from ingest_api.adapters.task_row import COLUMNS, from_row, to_row
from ingest_api.domain.instant import microseconds
from ingest_api.domain.log_batch import Applied, TaskSeen
from ingest_api.domain.task import Task, is_lower, merged
from kartoteka_contracts.ids import TaskId
from kartoteka_contracts.tasks import TaskKind, TaskStatus

__all__ = ["TASKS_KEPT", "apply_tasks"]

TASKS_KEPT: Final = timedelta(days=7)
"""How long an ended task stays, as on its topic."""
_STORED: Final = f"SELECT {', '.join(COLUMNS)}, repair FROM tasks WHERE task_id = ?"  # noqa: S608 - constants only
_WRITE: Final = (
    f"INSERT OR REPLACE INTO tasks ({', '.join(COLUMNS)}, repair) "  # noqa: S608 - constants only
    f"VALUES ({', '.join('?' * len(COLUMNS))}, ?)"
)
_ON_COMPACTED: Final = frozenset(
    {TaskStatus.RETRYING} | {status for status in TaskStatus if status.is_end}
)
"""States that the compacted topic carries, so the only ones that can be written to it again."""


def apply_tasks(
    db: sqlite3.Connection,
    records: Sequence[TaskSeen],
    deletions: Deletions,
    *,
    now: datetime,
    in_repair: set[TaskId],
) -> Applied:
    """Write what records say, within the caller's transaction.

    Args:
        db: the view's file.
        records: in the order of their partitions.
        deletions: what was deleted; those among the records are added.
        now: decides what is too old to begin a task.
        in_repair: tasks given out to be repaired; those that a lower record overtook leave it.
    """
    gone = set(deletions.note(records))
    oldest = now - TASKS_KEPT
    states: dict[TaskId, tuple[Task | None, bool]] = {}
    changed: dict[TaskId, tuple[Task, bool]] = {}
    looks_different: set[TaskId] = set()
    ended = Counter[tuple[TaskKind, TaskStatus]]()
    dropped = to_repair = 0
    for record in records:
        task_id = record.task.task_id
        if task_id in gone or deletions.covers(record.task):
            gone.add(task_id)
            dropped += 1
            continue
        if task_id not in states:
            states[task_id] = _stored(db, task_id)
        stored, repair = states[task_id]
        if stored is None and record.logged_at < oldest:
            # Its other records may be gone from the log already: it would be open for ever.
            dropped += 1
            continue
        state = merged(stored, record.task)
        owed = _is_repair_owed(record, stored, state, owed=repair)
        if owed and record.is_compacted:
            in_repair.discard(task_id)
        if state == stored:
            dropped += 1
        else:
            looks_different.add(task_id)
            if state.kind is not None and state.status.is_end and not _is_ended(stored):
                ended[state.kind, state.status] += 1
        if (state, owed) != (stored, repair):
            to_repair += owed and not repair
            states[task_id] = changed[task_id] = (state, owed)
    db.executemany(_WRITE, [(*to_row(task), int(owed)) for task, owed in changed.values()])
    forget(db, gone, microseconds(now))
    return Applied(
        changed=frozenset(looks_different | gone),
        dropped=dropped,
        to_repair=to_repair,
        ended=ended,
    )


def _is_ended(task: Task | None) -> bool:
    return task is not None and task.status.is_end


def _stored(db: sqlite3.Connection, task_id: TaskId) -> tuple[Task | None, bool]:
    row = db.execute(_STORED, (task_id,)).fetchone()
    return (None, False) if row is None else (from_row(row), bool(row[-1]))


def _is_repair_owed(record: TaskSeen, stored: Task | None, now: Task, *, owed: bool) -> bool:
    """Return whether the stored state must be written again after this record."""
    if not record.is_compacted:
        return owed
    if stored is None or record.task.order >= now.order:
        return False
    return now.status in _ON_COMPACTED and is_lower(record.task, now)
