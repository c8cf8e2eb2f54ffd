"""Statements of the view's file that need more than a line."""

from typing import Any

from ingest_api.domain.instant import microseconds
from ingest_api.read_ports import TaskQuery

__all__ = ["conditions"]


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
