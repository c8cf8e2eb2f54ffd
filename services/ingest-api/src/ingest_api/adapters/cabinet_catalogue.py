"""The cabinets of the view's file, and their runs."""

from collections.abc import Sequence

from ingest_api.adapters.cabinet_rows import READ_CABINETS, last_runs, open_runs, to_cabinet
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.adapters.task_row import from_row
from ingest_api.domain.cabinet import Cabinet
from ingest_api.domain.task import Task
from ingest_api.read_ports import CabinetQuery
from kartoteka_contracts.ids import CabinetId

__all__ = ["SqliteCabinets"]


class SqliteCabinets:
    """Reads cabinets. Every call raises UnavailableError where the file cannot be read."""

    def __init__(self, catalogue: SqliteCatalogue) -> None:
        self._catalogue = catalogue

    async def cabinet(self, cabinet_id: CabinetId) -> Cabinet | None:
        """Return a cabinet; None where it is not known here."""
        rows = await self._catalogue.read(f"{READ_CABINETS} WHERE cabinet_id = ?", cabinet_id)
        return to_cabinet(rows[0]) if rows else None

    async def cabinets(self, query: CabinetQuery) -> list[Cabinet]:
        """Return cabinets in the order of their ids."""
        where, values = ["cabinet_id > ?"], [query.after or 0]
        if query.cabinets is not None:
            where.append(f"cabinet_id IN ({', '.join('?' * len(query.cabinets))})")
            values += sorted(query.cabinets)
        rows = await self._catalogue.read(
            f"{READ_CABINETS} WHERE {' AND '.join(where)} ORDER BY cabinet_id LIMIT ?",
            *values,
            query.limit,
        )
        return [to_cabinet(row) for row in rows]

    async def open_runs(self, cabinets: Sequence[CabinetId]) -> list[Task]:
        """Return the runs of cabinets that have not ended."""
        rows = await self._catalogue.read(open_runs(len(cabinets)), *cabinets)
        return [from_row(row) for row in rows]

    async def last_runs(self, cabinets: Sequence[CabinetId]) -> list[Task]:
        """Return the last run of each cabinet that came to an end of its own."""
        rows = await self._catalogue.read(last_runs(len(cabinets)), *cabinets)
        return [from_row(row) for row in rows]
