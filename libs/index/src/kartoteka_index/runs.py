"""The state of reindex runs: one point for each cabinet, changed by conditional writes only.

The points lie beside the manifests and are none: what filters by cabinet never meets them.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID, uuid5

from pydantic import TypeAdapter
from qdrant_client import models

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId
from kartoteka_index import cabinet_filter
from kartoteka_index.connection import Connection
from kartoteka_index.failures import attempt
from kartoteka_index.payloads import DOCUMENT_VECTOR
from kartoteka_index.run_state import RunState, RunStep

__all__ = ["Runs"]

_NAMESPACE: Final = UUID("b6f4a3de-92a5-5a0a-8a0c-6e2f1f4d7c11")
_PAGE: Final = 100
_STATE: Final = TypeAdapter(RunState)


class Runs(Connection):
    """The part of an index that says which run of a cabinet is under way."""

    async def run_state(self, cabinet: AuthorisedCabinet) -> RunState | None:
        """Return where the cabinet's last run stands; None where there was none."""
        records = await attempt(
            "read run",
            lambda: self._client.retrieve(
                self._documents,
                [_point_id(cabinet.cabinet_id)],
                with_payload=True,
                with_vectors=False,
                consistency=models.ReadConsistencyType.MAJORITY,
            ),
        )
        for record in records:
            if cabinet_filter.is_run_of(cabinet, record.payload):
                return _read(record.payload or {})
        return None

    async def write_run_state(
        self, cabinet: AuthorisedCabinet, state: RunState, *, seen: RunState | None
    ) -> RunState | None:
        """Write a state if what stands is still what was seen, and read back what stands.

        Args:
            cabinet: the granted one.
            state: what to write; its revision is the seen one's and one.
            seen: what the caller read, or None where there was nothing.

        Returns:
            What stands, where it is this one (by this call or by a twin of it); None where another
            one was written meanwhile.

        Raises:
            UnavailableError: also where what is read back is older than what was written.
        """
        own = _point_id(cabinet.cabinet_id)
        revision = 0 if seen is None else seen.revision
        state = replace(state, revision=revision + 1)
        if seen is None:
            await attempt("open run", lambda: self._open(cabinet, own))
        where = cabinet_filter.run_at(cabinet, own, revision)
        await attempt(
            "write run",
            lambda: self._client.set_payload(
                self._documents,
                _payload(state),
                points=where,
                wait=True,
                ordering=models.WriteOrdering.STRONG,
            ),
        )
        stands = await self.run_state(cabinet)
        if stands is None or stands.revision < state.revision:
            raise UnavailableError("index_unavailable", "Qdrant answers with an older run")
        return stands if stands == state else None

    async def open_runs(self) -> AsyncIterator[RunState]:
        """Give the runs of all cabinets that have not ended: to find those that nobody drives."""
        offset: models.ExtendedPointId | None = None
        wanted = cabinet_filter.runs_in([step for step in RunStep if step is not RunStep.ENDED])
        while True:
            records, offset = await self._listed(wanted, offset)
            for record in records:
                state = _read(record.payload or {})
                if state is not None:
                    yield state
            if offset is None:
                return

    async def _listed(
        self, wanted: models.Filter, offset: models.ExtendedPointId | None
    ) -> tuple[list[models.Record], models.ExtendedPointId | None]:
        return await attempt(
            "list runs",
            lambda: self._client.scroll(
                self._documents,
                scroll_filter=wanted,
                limit=_PAGE,
                offset=offset,
                with_payload=True,
                with_vectors=False,
            ),
        )

    async def _open(self, cabinet: AuthorisedCabinet, own: str) -> None:
        """Insert what every write is a change of, unless it is there."""
        payload = {
            cabinet_filter.RUN_OF: cabinet_filter.cabinet_value(cabinet.cabinet_id),
            cabinet_filter.RUN_REVISION: 0,
        }
        await self._client.upsert(
            self._documents,
            [models.PointStruct(id=own, vector=DOCUMENT_VECTOR, payload=payload)],
            wait=True,
            ordering=models.WriteOrdering.STRONG,
            # A point that is there is replaced only where it matches, and none does.
            update_filter=cabinet_filter.NOTHING,
        )


def _point_id(cabinet: CabinetId) -> str:
    return str(uuid5(_NAMESPACE, str(cabinet)))


def _payload(state: RunState) -> dict[str, Any]:
    return {
        cabinet_filter.RUN_REVISION: state.revision,
        cabinet_filter.RUN_STEP: str(state.phase),
        "run": _STATE.dump_python(state, mode="json"),
    }


def _read(payload: Mapping[str, Any]) -> RunState | None:
    """Return a stored state; None where a point was only opened."""
    stored = payload.get("run")
    return None if stored is None else _STATE.validate_python(stored)
