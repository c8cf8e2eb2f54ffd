"""Dead letters and their marks as rows of the view's file, and back."""

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from ingest_api.domain.dead_letter import LetterContent, LetterId, Resolved, StoredLetter
from ingest_api.domain.instant import microseconds, moment
from ingest_api.domain.log_batch import DeadLetterSeen, LetterMarked
from ingest_api.letter_ports import LetterQuery
from kartoteka_contracts.dead_letter import DeadLetter, Resolution
from kartoteka_contracts.ids import TaskId

__all__ = [
    "READ_LETTERS",
    "letter_conditions",
    "letter_of",
    "purge_letters",
    "write_dead_letters",
    "write_marks",
]

_KEPT: Final = timedelta(days=30)
"""As long as their topic keeps them."""
_REPEATED_WITHIN: Final = timedelta(days=1)
"""A worker that died between letter and acknowledgement writes the letter of the same record again.
Only a recent one counts as that: a topic made anew counts its offsets from the start."""
_COLUMNS: Final = (
    "number",
    "offset",
    "key",
    "cabinet_id",
    "document_id",
    "external_id",
    "version",
    "replays",
    "task_id",
    "reason",
    "message",
    "stage",
    "attempts",
    "first_failed_ms",
    "origin_topic",
    "origin_number",
    "origin_offset",
    "logged_us",
)
_LETTER_COLUMNS: Final = ", ".join(f"l.{name}" for name in _COLUMNS)
READ_LETTERS: Final = (
    f"SELECT {_LETTER_COLUMNS}, m.resolution, m.task_id FROM dead_letters l "  # noqa: S608 - constants only
    "LEFT JOIN letter_marks m ON m.number = l.number AND m.offset = l.offset"
)
"""Add a WHERE clause of :func:`letter_conditions`; :func:`letter_of` reads the rows."""
_REPEATED: Final = (
    "SELECT 1 FROM dead_letters WHERE origin_topic = ? AND origin_number = ? AND origin_offset = ? "
    "AND key = ? AND task_id = ? AND logged_us > ? AND (number, offset) <> (?, ?)"
)
_WRITE: Final = (
    f"INSERT OR REPLACE INTO dead_letters ({', '.join(_COLUMNS)}) "  # noqa: S608 - constants only
    f"VALUES ({', '.join('?' * len(_COLUMNS))})"
)


def write_dead_letters(db: sqlite3.Connection, seen: Sequence[DeadLetterSeen]) -> None:
    """Write dead letters, each record's once; one that is there already is written over."""
    for item in seen:
        letter = item.letter
        origin = (letter.origin_topic, letter.origin_partition, letter.origin_offset)
        repeated = db.execute(
            _REPEATED,
            (
                *origin,
                item.key,
                letter.task_id,
                microseconds(item.logged_at - _REPEATED_WITHIN),
                item.partition.number,
                item.offset,
            ),
        ).fetchone()
        if repeated is None:
            db.execute(_WRITE, _to_row(item))


def write_marks(db: sqlite3.Connection, seen: Sequence[LetterMarked]) -> None:
    """Write marks, whether or not their letters are there; the first of a letter counts."""
    db.executemany(
        "INSERT OR IGNORE INTO letter_marks VALUES (?, ?, ?, ?, ?)",
        [
            (
                item.mark.partition,
                item.mark.offset,
                item.mark.resolution.value,
                item.mark.task_id,
                microseconds(item.logged_at),
            )
            for item in seen
        ],
    )


def purge_letters(db: sqlite3.Connection, now_us: int) -> int:
    """Let old letters and marks leave, as they leave their topic. Returns how many left."""
    oldest = (now_us - _KEPT // timedelta(microseconds=1),)
    letters = db.execute("DELETE FROM dead_letters WHERE logged_us < ?", oldest)
    marks = db.execute("DELETE FROM letter_marks WHERE logged_us < ?", oldest)
    return letters.rowcount + marks.rowcount


def letter_conditions(query: LetterQuery) -> tuple[str, list[Any]]:
    """Return what a list is filtered by: a WHERE clause of constants, and its values."""
    conditions, values = ["1 = 1"], list[Any]()
    if query.cabinets is not None:
        conditions.append(f"l.cabinet_id IN ({', '.join('?' * len(query.cabinets))})")
        values.extend(query.cabinets)
    if query.reason is not None:
        conditions.append("l.reason = ?")
        values.append(query.reason)
    if query.is_resolved is not None:
        conditions.append(f"m.resolution IS {'NOT ' if query.is_resolved else ''}NULL")
    if query.before is not None:
        conditions.append("l.logged_us < ?")
        values.append(microseconds(query.before))
    if query.since is not None:
        conditions.append("l.logged_us >= ?")
        values.append(microseconds(query.since))
    if (place := query.after) is not None:
        conditions.append("(l.logged_us, l.number, l.offset) < (?, ?, ?)")
        values.extend((microseconds(place.dead_at), *place.id))
    return " AND ".join(conditions), values


def letter_of(row: Sequence[Any]) -> StoredLetter:
    """Return the letter of a row that :data:`READ_LETTERS` gave."""
    named = dict(zip(_COLUMNS, row, strict=False))
    resolution, task_id = row[len(_COLUMNS) :]
    return StoredLetter(
        id=LetterId(named["number"], named["offset"]),
        key=named["key"],
        letter=DeadLetter(
            reason=named["reason"],
            message=named["message"],
            stage=named["stage"],
            attempts=named["attempts"],
            first_failed_at_ms=named["first_failed_ms"],
            origin_topic=named["origin_topic"],
            origin_partition=named["origin_number"],
            origin_offset=named["origin_offset"],
            task_id=named["task_id"],
        ),
        content=LetterContent(
            cabinet_id=named["cabinet_id"],
            document_id=named["document_id"],
            external_id=named["external_id"],
            version=named["version"],
            replays=named["replays"],
        ),
        dead_at=moment(named["logged_us"]),
        resolved=(
            None
            if resolution is None
            else Resolved(
                resolution=Resolution(resolution), task_id=TaskId(task_id) if task_id else None
            )
        ),
    )


def _to_row(item: DeadLetterSeen) -> tuple[Any, ...]:
    letter, content = item.letter, item.content
    return (
        item.partition.number,
        item.offset,
        item.key,
        content.cabinet_id,
        content.document_id,
        content.external_id,
        content.version,
        content.replays,
        letter.task_id,
        letter.reason,
        letter.message,
        letter.stage,
        letter.attempts,
        letter.first_failed_at_ms,
        letter.origin_topic,
        letter.origin_partition,
        letter.origin_offset,
        microseconds(item.logged_at),
    )
