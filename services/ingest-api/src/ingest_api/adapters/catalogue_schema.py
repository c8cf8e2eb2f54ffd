"""The view's SQLite file: its tables, and whether a file that lies there is one of ours."""

import sqlite3
from pathlib import Path
from typing import Final

from kartoteka_runtime.logs import get_logger

__all__ = ["FILE_NAME", "connect", "create", "remove"]

_log = get_logger(__name__)

_VERSION: Final = 6
FILE_NAME: Final = f"tasks-v{_VERSION}.sqlite"
"""A release with another schema has another file; the view is a cache and is rebuilt."""

_APPLICATION_ID: Final = 0x4B41_5254
_MEMORY_CACHE_KIB: Final = 16 * 1024

_TABLES: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (
  topic TEXT NOT NULL, number INTEGER NOT NULL, next INTEGER NOT NULL,
  PRIMARY KEY (topic, number)
) WITHOUT ROWID;
CREATE TABLE tasks (
  task_id TEXT PRIMARY KEY,
  cabinet_id INTEGER NOT NULL,
  kind TEXT,
  status TEXT NOT NULL,
  stage TEXT,
  progress REAL NOT NULL,
  attempt INTEGER NOT NULL,
  document_id TEXT,
  external_id TEXT,
  version INTEGER,
  epoch INTEGER NOT NULL,
  filename TEXT,
  replay_of TEXT,
  accepted_us INTEGER,
  updated_us INTEGER NOT NULL,
  next_attempt_us INTEGER,
  result TEXT,
  error TEXT,
  run TEXT,
  ended INTEGER NOT NULL,
  queue TEXT,
  backlog TEXT,
  since_us INTEGER,
  repair INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tasks_by_age ON tasks (accepted_us DESC, task_id DESC);
CREATE INDEX tasks_by_cabinet ON tasks (cabinet_id, accepted_us DESC, task_id DESC);
CREATE INDEX tasks_by_document ON tasks (document_id);
CREATE INDEX tasks_open ON tasks (cabinet_id, document_id) WHERE ended = 0;
CREATE INDEX tasks_runs ON tasks (cabinet_id, updated_us) WHERE kind = 'reindex';
CREATE INDEX tasks_ended ON tasks (updated_us) WHERE ended = 1;
CREATE INDEX tasks_backlog ON tasks (backlog, since_us) WHERE backlog IS NOT NULL;
CREATE INDEX tasks_to_repair ON tasks (task_id) WHERE repair = 1;
CREATE TABLE dead_letters (
  number INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  key TEXT NOT NULL,
  cabinet_id INTEGER,
  document_id TEXT,
  external_id TEXT,
  version INTEGER,
  replays INTEGER NOT NULL,
  task_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  stage TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  first_failed_ms INTEGER NOT NULL,
  origin_topic TEXT NOT NULL,
  origin_number INTEGER NOT NULL,
  origin_offset INTEGER NOT NULL,
  logged_us INTEGER NOT NULL,
  PRIMARY KEY (number, offset)
) WITHOUT ROWID;
CREATE INDEX dead_letters_by_age ON dead_letters (logged_us DESC, number DESC, offset DESC);
CREATE INDEX dead_letters_by_origin ON dead_letters (origin_topic, origin_number, origin_offset);
CREATE INDEX dead_letters_by_document ON dead_letters (cabinet_id, document_id);
CREATE TABLE letter_marks (
  number INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  resolution TEXT NOT NULL,
  task_id TEXT NOT NULL,
  logged_us INTEGER NOT NULL,
  PRIMARY KEY (number, offset)
) WITHOUT ROWID;
CREATE TABLE deletions (
  scope TEXT PRIMARY KEY, version INTEGER NOT NULL, at_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE forgotten (task_id TEXT PRIMARY KEY, since_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cabinets (
  cabinet_id INTEGER PRIMARY KEY,
  seen_us INTEGER,
  version INTEGER,
  settings TEXT,
  created_us INTEGER,
  at_us INTEGER
) WITHOUT ROWID;
"""


def connect(folder: Path) -> sqlite3.Connection:
    """Open the file in ``folder``; one that is damaged or not ours is replaced by an empty one.

    Raises:
        sqlite3.OperationalError: the folder cannot be written, or the disk is full.
    """
    path = folder / FILE_NAME
    for other in folder.glob("tasks-v*.sqlite*"):
        if not other.name.startswith(FILE_NAME):
            other.unlink()
    fresh = not path.exists()
    fault = None if fresh else _fault(path)
    if fault is not None:
        _log.warning("view_file_replaced", path=str(path), reason=fault)
        remove(folder)
        fresh = True
    connection = _open(path)
    if fresh:
        create(connection)
    return connection


def create(connection: sqlite3.Connection) -> None:
    """Replace everything in the file by empty tables, at once or not at all."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    drops = "".join(f'DROP TABLE "{name}";' for (name,) in names)
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {drops} {_TABLES}"
            f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_VERSION}; COMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def remove(folder: Path) -> None:
    """Delete the file and what SQLite keeps beside it."""
    for ending in ("", "-wal", "-shm", "-journal"):
        (folder / f"{FILE_NAME}{ending}").unlink(missing_ok=True)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    # In WAL mode this loses at most the last transactions at a power cut, offsets included.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{_MEMORY_CACHE_KIB}")
    return connection


def _fault(path: Path) -> str | None:
    """Return why the file cannot be used."""
    try:
        connection = _open(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return str(error)
    try:
        (owner,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()
    if (owner, version) != (_APPLICATION_ID, _VERSION):
        return "it was not made by this release"
    return None if verdict == "ok" else str(verdict)
