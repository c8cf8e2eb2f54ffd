"""Statements of the view's file that need more than a line."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from ingest_api.domain.instant import microseconds
from ingest_api.domain.log_batch import CabinetSighting, DeadLetterSeen
from ingest_api.read_ports import TaskQuery

__all__ = ["conditions", "write_cabinets", "write_dead_letters"]


def write_dead_letters(db: sqlite3.Connection, seen: Sequence[DeadLetterSeen]) -> None:
    """Write dead letters; one that is there already is written over."""
    db.executemany(
        "INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                item.partition.number,
                item.offset,
                item.key,
                _cabinet_of(item.key),
                item.letter.task_id,
                item.letter.reason,
                item.letter.message,
                item.letter.stage,
                item.letter.attempts,
                item.letter.first_failed_at_ms,
                item.letter.origin_topic,
                item.letter.origin_partition,
                item.letter.origin_offset,
                microseconds(item.logged_at),
            )
            for item in seen
        ],
    )


def _cabinet_of(key: str) -> int | None:
    head = key.partition("/")[0]
    return int(head) if head.isascii() and head.isdigit() and len(head) < len(str(2**63)) else None


def write_cabinets(db: sqlite3.Connection, seen: Sequence[CabinetSighting]) -> None:
    """Write which cabinets had an upload."""
    for sighting in seen:
        if sighting.seen_at is None:
            db.execute("DELETE FROM cabinets WHERE cabinet_id = ?", (sighting.cabinet_id,))
        else:
            db.execute(
                "INSERT OR IGNORE INTO cabinets VALUES (?, ?)",
                (sighting.cabinet_id, microseconds(sighting.seen_at)),
            )


def conditions(query: TaskQuery) -> tuple[str, list[Any]]:
    """Return what a list is filtered by: a WHERE clause of constants, and its values."""
    conditions, values = ["accepted_us IS NOT NULL", "kind IS NOT NULL"], list[Any]()
    if query.cabinets is not None:
        conditions.append(f"cabinet_id IN ({', '.join('?' * len(query.cabinets))})")
        values.extend(query.cabinets)
    if query.status is not None:
        conditions.append("status = ?")
        values.append(query.status)
    if (place := query.after) is not None:
        conditions.append("(accepted_us, task_id) < (?, ?)")
        values.extend((microseconds(place.accepted_at), place.task_id))
    return " AND ".join(conditions), values
