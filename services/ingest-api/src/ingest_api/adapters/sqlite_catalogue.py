"""The view's store: one SQLite file, touched by one thread of its own.

Rows and the log's offsets are written in one transaction, so the file is always the outcome of a
prefix of each partition, whenever the process is killed.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from ingest_api.adapters import catalogue_schema
from ingest_api.adapters.cabinet_rows import write_cabinets
from ingest_api.adapters.catalogue_deletions import Deletions, purge_deletions
from ingest_api.adapters.catalogue_rows import conditions
from ingest_api.adapters.letter_rows import purge_letters, write_dead_letters, write_marks
from ingest_api.adapters.task_row import COLUMNS, from_row
from ingest_api.adapters.task_writes import TASKS_KEPT, apply_tasks
from ingest_api.domain.instant import microseconds
from ingest_api.domain.log_batch import (
    Applied,
    LogBatch,
    Partition,
)
from ingest_api.domain.task import Task
from ingest_api.read_ports import TaskQuery
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import DocumentId, TaskId
from kartoteka_runtime.clock import Clock

__all__ = [
    "CatalogueBusyError",
    "CatalogueDamagedError",
    "CatalogueUnwritableError",
    "SqliteCatalogue",
]

T = TypeVar("T")

_PURGED_AT_ONCE: Final = 2000
_READ: Final = f"SELECT {', '.join(COLUMNS)} FROM tasks"  # noqa: S608 - constants only


class CatalogueBusyError(Exception):
    """Another process uses the folder."""


class CatalogueDamagedError(Exception):
    """The file was damaged while in use; it must be rebuilt."""


class CatalogueUnwritableError(Exception):
    """The file cannot be written now: the disk is full or failing. Nothing of the batch counts."""


class SqliteCatalogue:
    """Tasks, dead letters and cabinets, as far as the log has been read.

    Args:
        folder: where the file lies; made when missing, used by one process at a time.
        clock: decides what is old enough to leave.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="view-sqlite")
        self._db: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._damaged = False
        self._in_repair: set[TaskId] = set()
        """Given out to be repaired, with nothing lower seen since. Only the thread touches it."""

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self._folder / catalogue_schema.FILE_NAME

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._db is not None

    @property
    def is_damaged(self) -> bool:
        """Whether any call met damage since the file was last built."""
        return self._damaged

    async def open(self) -> None:
        """Open the file, replacing one that is damaged or not ours.

        Raises:
            CatalogueBusyError: another process uses the folder.
            CatalogueUnwritableError: the folder cannot be written.
        """
        await self._call(self._open)

    async def close(self) -> None:
        """Close the file; the catalogue is not used afterwards."""
        await self._call(self._close)
        self._thread.shutdown()

    async def wipe(self, identity: str) -> None:
        """Forget everything, and belong to this log from now on."""
        await self._call(self._wipe, identity)

    async def rebuild_file(self) -> None:
        """Replace a damaged file by an empty one."""
        await self._call(self._rebuild_file)

    async def adopt(self, file: Path) -> None:
        """Go on with another catalogue's file, which is moved here; a damaged one is left out."""
        await self._call(self._adopt, file)

    async def identity(self) -> str | None:
        """Return the log that the rows come from; None in an empty file."""
        return await self._call(self._identity)

    async def positions(self) -> dict[Partition, int]:
        """Return the next offset of each partition that was read from."""
        return await self._call(self._positions)

    async def apply(self, batch: LogBatch) -> Applied:
        """Apply records and offsets in one transaction.

        Raises:
            CatalogueDamagedError: the file must be rebuilt.
            CatalogueUnwritableError: nothing was written; the same batch may be tried again.
        """
        return await self._call(self._apply, batch)

    async def task(self, task_id: TaskId) -> Task | None:
        """Return a task of any cabinet. Raises UnavailableError where the file cannot be read."""
        rows = await self.read(f"{_READ} WHERE task_id = ?", task_id)
        return from_row(rows[0]) if rows else None

    async def tasks(self, query: TaskQuery) -> list[Task]:
        """Return tasks, the last accepted first. Raises UnavailableError likewise."""
        where, values = conditions(query)
        return [
            from_row(row)
            for row in await self.read(
                f"{_READ} WHERE {where} ORDER BY accepted_us DESC, task_id DESC LIMIT ?",
                *values,
                query.limit,
            )
        ]

    async def open_documents(
        self, cabinet: AuthorisedCabinet, *, start: DocumentId | None, limit: int
    ) -> list[DocumentId]:
        """Return documents with open tasks, in the order of their ids, from ``start`` on.

        Raises UnavailableError likewise.
        """
        rows = await self.read(
            "SELECT DISTINCT document_id FROM tasks WHERE ended = 0 AND cabinet_id = ? "
            "AND document_id >= ? ORDER BY document_id LIMIT ?",
            cabinet.cabinet_id,
            start or "",
            limit,
        )
        return [DocumentId(row[0]) for row in rows]

    async def tasks_of(self, document_ids: Sequence[DocumentId]) -> list[Task]:
        """Return all tasks of documents, newest work first. Raises UnavailableError."""
        marks = ", ".join("?" * len(document_ids))
        rows = await self.read(
            f"{_READ} WHERE document_id IN ({marks}) ORDER BY version DESC, epoch DESC",
            *document_ids,
        )
        return [from_row(row) for row in rows]

    async def is_forgotten(self, task_id: TaskId) -> bool:
        """Return whether a task left with the document that it was about. Raises likewise."""
        return bool(await self.read("SELECT 1 FROM forgotten WHERE task_id = ?", task_id))

    async def to_repair(self, limit: int) -> list[Task]:
        """Return stored states that must be written to the compacted topic again.

        For one caller, who takes the next ones when done with these.
        """
        rows = await self._call(self._to_repair, limit)
        return [from_row(row) for row in rows]

    async def repaired(self, task_id: TaskId) -> None:
        """Note that the state, as it was last returned to be repaired, was written again.

        A lower record that was applied since may lie behind that write: then it stays owed.
        """
        await self._call(self._repaired, task_id)

    async def purge(self) -> int:
        """Let old ended tasks and dead letters leave, some at a time. Returns how many left."""
        return await self._call(self._purge)

    async def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query. Raises UnavailableError where the file cannot be read."""
        try:
            return await self._call(lambda: self._connection.execute(sql, values).fetchall())
        except (CatalogueDamagedError, CatalogueUnwritableError) as error:
            raise UnavailableError("view_behind", "the view cannot be read just now") from error

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        # Shielded: the thread goes on with what it began, also where the caller is gone.
        return await asyncio.shield(
            loop.run_in_executor(self._thread, self._guarded, function, *arguments)
        )

    def _guarded(self, function: Callable[..., T], *arguments: object) -> T:
        try:
            return function(*arguments)
        except sqlite3.OperationalError as error:
            raise CatalogueUnwritableError(str(error)) from error
        except sqlite3.DatabaseError as error:
            self._damaged = True
            raise CatalogueDamagedError(str(error)) from error
        except OSError as error:
            raise CatalogueUnwritableError(str(error)) from error

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise CatalogueUnwritableError("the view's file is not open")
        return self._db

    def _open(self) -> None:
        if self._lock is not None:  # the file could not be opened again after it was replaced
            self._db = catalogue_schema.connect(self._folder)
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise CatalogueBusyError(
                f"{self._folder} is used by another process; give each its own VIEW_PATH"
            ) from error
        try:
            self._db = catalogue_schema.connect(self._folder)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _rebuild_file(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        catalogue_schema.remove(self._folder)
        self._db = catalogue_schema.connect(self._folder)
        self._damaged = False

    def _adopt(self, file: Path) -> None:
        self._connection.close()
        self._db = None
        catalogue_schema.remove(self._folder)
        file.replace(self.path)
        self._db = catalogue_schema.connect(self._folder)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._connection
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _wipe(self, identity: str) -> None:
        catalogue_schema.create(self._connection)
        self._connection.execute("INSERT INTO facts VALUES ('identity', ?)", (identity,))

    def _identity(self) -> str | None:
        found = self._connection.execute(
            "SELECT value FROM facts WHERE name = 'identity'"
        ).fetchone()
        return None if found is None else str(found[0])

    def _positions(self) -> dict[Partition, int]:
        rows = self._connection.execute("SELECT topic, number, next FROM positions").fetchall()
        return {Partition(topic, number): offset for topic, number, offset in rows}

    def _apply(self, batch: LogBatch) -> Applied:
        with self._transaction() as db:
            deletions, now = Deletions(db), self._clock.now()
            applied = apply_tasks(db, batch.tasks, deletions, now=now, in_repair=self._in_repair)
            letters = [one for one in batch.dead_letters if not deletions.covers_letter(one)]
            write_dead_letters(db, letters)
            write_marks(db, batch.marks)
            write_cabinets(db, batch.cabinets)
            db.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                [(p.topic, p.number, offset) for p, offset in batch.positions.items()],
            )
        return applied

    def _to_repair(self, limit: int) -> list[tuple[Any, ...]]:
        wanted = f"{_READ} WHERE repair = 1 LIMIT ?"
        rows = self._connection.execute(wanted, (limit,)).fetchall()
        self._in_repair = {from_row(row).task_id for row in rows}
        return rows

    def _repaired(self, task_id: TaskId) -> None:
        if task_id in self._in_repair:
            self._connection.execute("UPDATE tasks SET repair = 0 WHERE task_id = ?", (task_id,))

    def _purge(self) -> int:
        now = self._clock.now()
        with self._transaction() as db:
            tasks = db.execute(
                "DELETE FROM tasks WHERE task_id IN "
                "(SELECT task_id FROM tasks WHERE ended = 1 AND updated_us < ? LIMIT ?)",
                (microseconds(now - TASKS_KEPT), _PURGED_AT_ONCE),
            )
            purge_deletions(db, microseconds(now))
            return tasks.rowcount + purge_letters(db, microseconds(now))
