"""Statements of the view's file that need more than a line."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from ingest_api.domain.instant import microseconds
from ingest_api.domain.log_batch import CabinetSighting
from ingest_api.read_ports import TaskQuery

__all__ = ["conditions", "write_cabinets"]


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
