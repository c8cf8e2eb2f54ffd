"""Ask for a reindex run, or for what one would do."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.domain.run_plan import RunPlan, RunWish
from ingest_api.read_ports import RunPlanner
from ingest_api.usecases.job_events import JobEvents, acknowledged_in_time
from ingest_api.usecases.read_cabinets import ReadCabinets
from kartoteka_contracts.ids import CabinetId, TaskId, new_task_id
from kartoteka_contracts.reindex import ReindexMode, ReindexRequested, ReindexTrigger
from kartoteka_runtime.clock import Clock

__all__ = ["Asked", "Reindex"]

_RUNS: Final = "cabinets.reindex"


class Asked(NamedTuple):
    """The run that will do it, and whether it was under way already."""

    task_id: TaskId
    is_joined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reindex:
    """Takes requests for runs in."""

    cabinets: ReadCabinets
    planner: RunPlanner
    jobs: JobEvents
    clock: Clock

    async def request(
        self,
        principal: Principal,
        cabinet_id: CabinetId,
        wish: RunWish,
        *,
        traceparent: str | None = None,
    ) -> Asked:
        """Ask for a run; a plain request joins one that is under way.

        One that asks for more (another mode, named documents, a confirmation) is sent in any case:
        the planner knows whether the run under way does that, and lets it wait where not.

        A run that this view does not know of yet is joined by the planner: then the task that is
        returned here ends as superseded, and its result names the run.

        Raises:
            RequestError: ``not_found``, for a foreign cabinet as for an unknown one.
            UnavailableError: ``event_log_unavailable`` (outcome unknown), ``overloaded`` or
                ``view_behind``.
        """
        self.jobs.check()
        await self.cabinets.check(principal, cabinet_id)
        cabinet = authorise(principal, Scope.INGEST, cabinet_id)
        if wish == RunWish():
            run = await self.cabinets.open_run(cabinet.cabinet_id)
            if run is not None:
                return Asked(run.task_id, is_joined=True)
        event = ReindexRequested(
            task_id=new_task_id(),
            cabinet_id=cabinet.cabinet_id,
            mode=wish.mode,
            trigger=ReindexTrigger.MANUAL,
            document_ids=None if wish.document_ids is None else list(wish.document_ids),
            is_vanishing_confirmed=wish.is_vanishing_confirmed,
            accepted_at=self.clock.now(),
        )
        async with acknowledged_in_time():
            await self.jobs.send(event, event.task_id, topic=_RUNS, traceparent=traceparent)
        return Asked(event.task_id, is_joined=False)

    async def plan(self, principal: Principal, cabinet_id: CabinetId, mode: ReindexMode) -> RunPlan:
        """Return what a run would do now.

        Raises:
            RequestError: ``not_found``, for a foreign cabinet as for an unknown one.
            UnavailableError: ``planner_unavailable`` or ``view_behind``.
        """
        await self.cabinets.check(principal, cabinet_id)
        return await self.planner.plan(authorise(principal, Scope.READ, cabinet_id), mode)
