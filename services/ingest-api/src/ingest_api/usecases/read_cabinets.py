"""Look cabinets up, and list them: what they are to be, and what runs made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ingest_api.domain.access import Principal
from ingest_api.domain.cabinet import Cabinet
from ingest_api.domain.task import Task
from ingest_api.read_ports import CabinetCatalogue, CabinetQuery, Freshness
from kartoteka_contracts.errors import RequestError, UnavailableError
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.tasks import TaskStatus
from kartoteka_runtime.clock import Clock

__all__ = ["CabinetPage", "CabinetState", "ReadCabinets"]

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CabinetState:
    """A cabinet, and its runs as the view knows them."""

    cabinet: Cabinet
    next_run_at: datetime | None
    """None where its schedule asks for none."""
    last_run: Task | None
    """The last one that ended, superseded ones apart."""
    open_run: Task | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CabinetPage:
    """Some cabinets, and the one behind which the next ones begin; None at the end."""

    cabinets: tuple[CabinetState, ...]
    next: CabinetId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCabinets:
    """What callers may ask of cabinets.

    Whatever was acknowledged before a call is in its answer, whichever replica gave either.
    """

    catalogue: CabinetCatalogue
    freshness: Freshness
    clock: Clock

    async def find(self, principal: Principal, cabinet_id: CabinetId) -> CabinetState:
        """Return one of the caller's cabinets.

        A foreign one takes the way of an unknown one, so that not even the time differs.

        Raises:
            RequestError: ``not_found``.
            UnavailableError: ``view_behind``: what it is now is not known here yet.
        """
        await self.freshness.catch_up()
        cabinet = _seen(await self.catalogue.cabinet(cabinet_id), principal)
        if cabinet is None:
            raise RequestError("not_found")
        return await self.state(cabinet)

    async def check(self, principal: Principal, cabinet_id: CabinetId) -> None:
        """Return if the cabinet is one of the caller's, and there is such a one.

        Raises:
            RequestError: ``not_found``, for a foreign one as for an unknown one.
            UnavailableError: ``view_behind``: whether it exists is not known here yet.
        """
        if _seen(await self.catalogue.cabinet(cabinet_id), principal) is not None:
            return
        await self.freshness.catch_up()
        if _seen(await self.catalogue.cabinet(cabinet_id), principal) is None:
            raise RequestError("not_found")

    async def page(
        self, principal: Principal, *, after: CabinetId | None, limit: int
    ) -> CabinetPage:
        """Return the caller's cabinets in the order of their ids, those behind ``after``.

        Raises:
            UnavailableError: ``view_behind``.
        """
        await self.freshness.catch_up()
        query = CabinetQuery(cabinets=principal.cabinets, after=after, limit=limit + 1)
        found = await self.catalogue.cabinets(query)
        shown = found[:limit]
        return CabinetPage(
            cabinets=tuple(await self._states(shown)),
            next=shown[-1].cabinet_id if len(found) > len(shown) else None,
        )

    async def state(self, cabinet: Cabinet) -> CabinetState:
        """Return a cabinet with its runs, as far as the view has read."""
        [state] = await self._states([cabinet])
        return state

    async def known(self, cabinet_id: CabinetId) -> Cabinet | None:
        """Return a cabinet of anybody, as far as the view has read."""
        return await self.catalogue.cabinet(cabinet_id)

    async def open_run(self, cabinet_id: CabinetId) -> Task | None:
        """Return the run that is under way for sure; None where there is none or nobody knows."""
        if not await self.catalogue.open_runs([cabinet_id]):
            return None
        try:
            # It may have ended already, and would do nothing for whoever joined it.
            await self.freshness.catch_up()
        except UnavailableError:
            return None
        return _under_way(await self.catalogue.open_runs([cabinet_id]))

    async def _states(self, cabinets: Sequence[Cabinet]) -> list[CabinetState]:
        ids = [cabinet.cabinet_id for cabinet in cabinets]
        if not ids:
            return []
        # In this order: a run that ends in between is shown as the last one, not lost.
        runs = await self.catalogue.open_runs(ids)
        last = {run.cabinet_id: run for run in await self.catalogue.last_runs(ids)}
        now = self.clock.now()
        return [
            CabinetState(
                cabinet=cabinet,
                next_run_at=cabinet.next_run_at(now),
                last_run=last.get(cabinet.cabinet_id),
                open_run=_under_way([r for r in runs if r.cabinet_id == cabinet.cabinet_id]),
            )
            for cabinet in cabinets
        ]


def _seen(cabinet: Cabinet | None, principal: Principal) -> Cabinet | None:
    return cabinet if cabinet is not None and principal.sees(cabinet.cabinet_id) else None


def _under_way(runs: Sequence[Task]) -> Task | None:
    """Return the one that works: one that is seen to, else the first that was asked for."""
    return min(runs, key=_precedence, default=None)


def _precedence(run: Task) -> tuple[bool, datetime, str]:
    return (run.status is TaskStatus.QUEUED, run.accepted_at or _NEVER, run.task_id)
