"""Cabinets and their runs in the view's file."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from ingest_api.adapters.task_row import COLUMNS
from ingest_api.domain.cabinet import Cabinet
from ingest_api.domain.instant import microseconds, moment
from ingest_api.domain.log_batch import CabinetSettled, CabinetSighting
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings
from kartoteka_contracts.ids import CabinetId

__all__ = ["READ_CABINETS", "last_runs", "open_runs", "to_cabinet", "write_cabinets"]

READ_CABINETS: Final = (
    "SELECT cabinet_id, seen_us, version, settings, created_us, at_us FROM cabinets"
)
_SEEN: Final = (
    "INSERT INTO cabinets (cabinet_id, seen_us) VALUES (?, ?) ON CONFLICT (cabinet_id) DO UPDATE "
    "SET seen_us = min(coalesce(seen_us, excluded.seen_us), excluded.seen_us)"
)
_CONFIGURED: Final = (
    "INSERT INTO cabinets (cabinet_id, version, settings, created_us, at_us) "
    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (cabinet_id) DO UPDATE SET version = excluded.version, "
    "settings = excluded.settings, created_us = excluded.created_us, at_us = excluded.at_us "
    "WHERE coalesce(version, 0) < excluded.version"
)
_NOT_SEEN: Final = "UPDATE cabinets SET seen_us = NULL WHERE cabinet_id = ?"
_NO_SETTINGS: Final = (
    "UPDATE cabinets SET version = NULL, settings = NULL, created_us = NULL, at_us = NULL "
    "WHERE cabinet_id = ?"
)
_FORGET: Final = "DELETE FROM cabinets WHERE cabinet_id = ? AND seen_us IS NULL AND version IS NULL"
_RUNS: Final = f"SELECT {', '.join(COLUMNS)} FROM tasks WHERE kind = 'reindex'"  # noqa: S608 - constants only
_LAST: Final = (
    "SELECT (SELECT task_id FROM tasks WHERE kind = 'reindex' AND cabinet_id = c.cabinet_id "
    "AND ended = 1 AND status <> 'superseded' ORDER BY updated_us DESC, task_id DESC LIMIT 1) "
    "FROM cabinets"
)


def write_cabinets(
    db: sqlite3.Connection, records: Sequence[CabinetSighting | CabinetSettled]
) -> None:
    """Write what records say: the earliest first upload and the newest settings count."""
    for record in records:
        cabinet_id = record.cabinet_id
        match record:
            case CabinetSighting(seen_at=datetime() as seen_at):
                db.execute(_SEEN, (cabinet_id, microseconds(seen_at)))
            case CabinetSettled(configured=CabinetConfigured() as configured):
                db.execute(_CONFIGURED, _values(configured))
            case CabinetSighting():
                db.execute(_NOT_SEEN, (cabinet_id,))
                db.execute(_FORGET, (cabinet_id,))
            case CabinetSettled():
                db.execute(_NO_SETTINGS, (cabinet_id,))
                db.execute(_FORGET, (cabinet_id,))


def to_cabinet(row: tuple[Any, ...]) -> Cabinet:
    """Return the cabinet of a row of :data:`READ_CABINETS`."""
    cabinet_id, seen_us, version, settings, created_us, at_us = row
    return Cabinet(
        cabinet_id=CabinetId(cabinet_id),
        seen_at=None if seen_us is None else moment(seen_us),
        configured=(
            None
            if version is None
            else CabinetConfigured(
                cabinet_id=cabinet_id,
                version=version,
                settings=CabinetSettings.model_validate_json(settings),
                created_at=moment(created_us),
                at=moment(at_us),
            )
        ),
    )


def open_runs(count: int) -> str:
    """Return the statement of the runs of so many cabinets that have not ended."""
    return f"{_RUNS} AND ended = 0 AND cabinet_id IN ({_marks(count)})"


def last_runs(count: int) -> str:
    """Return the statement of the last run of each of so many cabinets that came to an end.

    One that was superseded did nothing itself.
    """
    return f"{_RUNS} AND task_id IN ({_LAST} AS c WHERE cabinet_id IN ({_marks(count)}))"


def _values(configured: CabinetConfigured) -> tuple[Any, ...]:
    return (
        configured.cabinet_id,
        configured.version,
        configured.settings.model_dump_json(),
        microseconds(configured.created_at),
        microseconds(configured.at),
    )


def _marks(count: int) -> str:
    return ", ".join("?" * count)
