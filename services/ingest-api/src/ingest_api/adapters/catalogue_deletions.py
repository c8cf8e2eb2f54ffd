"""What was deleted, in the view's file: it leaves, and no record of before brings it back.

Records of a document come from several topics, so some that tell of a deleted version are read
after the delete's end, and all of them again when the view is rebuilt.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from ingest_api.domain.instant import microseconds
from ingest_api.domain.log_batch import DeadLetterSeen, TaskSeen
from ingest_api.domain.task import Task
from kartoteka_contracts.ids import CabinetId, DocumentId, TaskId, Version
from kartoteka_contracts.tasks import TaskKind, TaskStatus

__all__ = ["Deletions", "forget", "purge_deletions"]

_KEPT: Final = timedelta(days=45)
"""Longer than any topic keeps a record."""
_FORGOTTEN: Final = timedelta(days=8)
"""Longer than the topics of tasks keep a record: those that name a task and no document."""
_WHOLE_CABINET: Final = "*"
_NOTE: Final = (
    "INSERT INTO deletions VALUES (?, ?, ?) ON CONFLICT (scope) DO UPDATE SET "
    "version = max(version, excluded.version), at_us = max(at_us, excluded.at_us)"
)
_OLDER_TASKS: Final = (
    "SELECT task_id FROM tasks WHERE cabinet_id = ? AND (? IS NULL OR document_id = ?) "
    "AND version < ? AND kind <> 'delete'"
)
_OLDER_RUNS: Final = (
    "SELECT task_id FROM tasks WHERE cabinet_id = ? AND kind = 'reindex' AND accepted_us < ?"
)
"""What a run tells names documents. A version is a time in microseconds, so it compares."""
_DROP_LETTERS: Final = (
    "DELETE FROM dead_letters WHERE cabinet_id = ? AND (? IS NULL OR document_id = ?) "
    "AND coalesce(version < ?, logged_us <= ?)"
)
_COVERS: Final = (
    "SELECT 1 FROM deletions WHERE scope IN (?, ?) AND coalesce(version > ?, at_us >= ?)"
)


class Deletions:
    """The deletes that came to a good end, for one batch of records."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._any = db.execute("SELECT 1 FROM deletions LIMIT 1").fetchone() is not None

    def note(self, records: Sequence[TaskSeen]) -> list[TaskId]:
        """Take the ends of deletes in: dead letters of what they deleted leave.

        Returns:
            The tasks that are to be forgotten.
        """
        gone: list[TaskId] = []
        for record in records:
            task = record.task
            if (
                task.kind is TaskKind.DELETE
                and task.status is TaskStatus.SUCCEEDED
                and task.version is not None
            ):
                ended = microseconds(record.logged_at)
                which = (task.cabinet_id, task.document_id, task.document_id, task.version)
                self._db.execute(_NOTE, (_scope(*which[:2]), task.version, ended))
                self._db.execute(_DROP_LETTERS, (*which, ended))
                gone += [TaskId(row[0]) for row in self._db.execute(_OLDER_TASKS, which)]
                if task.document_id is None:
                    runs = self._db.execute(_OLDER_RUNS, (task.cabinet_id, task.version))
                    gone += [TaskId(row[0]) for row in runs]
                self._any = True
        return gone

    def covers(self, task: Task) -> bool:
        """Whether what a record says is of a version that was deleted since.

        Deletes themselves stay: whoever asked for one may see its end.
        """
        if not self._any or task.kind is TaskKind.DELETE:
            return False
        if task.kind is TaskKind.REINDEX and task.accepted_at is not None:
            asked = Version(microseconds(task.accepted_at))
            if self._is_deleted(task.cabinet_id, None, asked):
                return True
        if task.document_id is None or task.version is None:
            known = self._db.execute("SELECT 1 FROM forgotten WHERE task_id = ?", (task.task_id,))
            return known.fetchone() is not None
        return self._is_deleted(task.cabinet_id, task.document_id, task.version)

    def covers_letter(self, seen: DeadLetterSeen) -> bool:
        """Whether a dead letter is of a version that was deleted since.

        One whose version cannot be read is older than a delete where it died before its end.
        """
        content = seen.content
        if not self._any or content.cabinet_id is None:
            return False
        died = microseconds(seen.logged_at)
        return self._is_deleted(content.cabinet_id, content.document_id, content.version, died)

    def _is_deleted(
        self,
        cabinet_id: CabinetId,
        document_id: DocumentId | None,
        version: Version | None,
        at_us: int = 0,
    ) -> bool:
        scopes = (_scope(cabinet_id, document_id), _scope(cabinet_id, None))
        return self._db.execute(_COVERS, (*scopes, version, at_us)).fetchone() is not None


def forget(db: sqlite3.Connection, tasks: Iterable[TaskId], now_us: int) -> None:
    """Let tasks leave, and remember that they did: some records name a task and no document."""
    gone = sorted(set(tasks))
    db.executemany("DELETE FROM tasks WHERE task_id = ?", [(task_id,) for task_id in gone])
    db.executemany(
        "INSERT OR REPLACE INTO forgotten VALUES (?, ?)", [(task_id, now_us) for task_id in gone]
    )


def purge_deletions(db: sqlite3.Connection, now_us: int) -> None:
    """Let go of what no record can bring back any more."""
    db.execute("DELETE FROM deletions WHERE at_us < ?", (now_us - _microseconds(_KEPT),))
    db.execute("DELETE FROM forgotten WHERE since_us < ?", (now_us - _microseconds(_FORGOTTEN),))


def _scope(cabinet_id: CabinetId, document_id: DocumentId | None) -> str:
    return f"{cabinet_id}/{document_id or _WHOLE_CABINET}"


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
