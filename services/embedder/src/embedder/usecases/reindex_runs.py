"""Reindex runs, a step at a time.

A step sends the next one, and then writes that it is done: a crash between the two repeats the
step, and the next one then comes twice and is done once. The state is written conditionally, so of
two workers that do the same step one goes on.

Access to the cabinet was checked before the run was accepted.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from embedder.domain.job import Lease
from embedder.domain.outcome import Continued, Outcome, RunFailed, RunJoined
from embedder.domain.reindex_plan import PAGE_SIZE, Plan, RunForecast
from embedder.domain.reindex_turns import closed, epoch_of
from embedder.domain.reindex_verdict import microseconds
from embedder.planner_ports import (
    BulkBacklog,
    PlannerArchive,
    PlannerIndex,
    PlannerLog,
    SourceStore,
)
from embedder.ports import Extractor
from embedder.telemetry import PlanMetrics
from embedder.usecases.reindex_emission import BULK, EmitPage
from embedder.usecases.reindex_ends import ending, left, planned
from embedder.usecases.reindex_pages import RunPages
from embedder.usecases.reindex_planning import PlanRun, RunRefusedError
from embedder.usecases.reindex_steps import (
    polled_after,
    send_step,
    throttled_for,
)
from embedder.usecases.reindex_taking import MOST_TRIES, TakeRun
from embedder.usecases.reindex_watching import WatchPages
from kartoteka_contracts.access import AuthorisedCabinet, grant
from kartoteka_contracts.codec import encode
from kartoteka_contracts.ids import Epoch
from kartoteka_contracts.reindex import (
    ReindexMode,
    ReindexRequested,
    RunContinued,
    RunPhase,
    RunProgressed,
    RunResult,
)
from kartoteka_index.run_state import RunFault, RunState, RunStep
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metrics import Metrics

__all__ = ["ReindexRuns"]

_log = get_logger(__name__)

_PROGRESS_TOPIC: Final = "task.progress"
_LOST_AFTER: Final = 40
"""Looks in vain, some 18 minutes of them, after which a page's events may have been lost."""
_MAX_BULK_LAG: Final = 2000
_MAX_OBJECTS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A step that is being done."""

    event: RunContinued
    seen: RunState
    plan: Plan
    pages: RunPages
    lease: Lease


class ReindexRuns:
    """The use case.

    Every call may be repeated from the top after a crash at any await. All raise UnavailableError
    where a store is away; the run then stands where it stood.

    Args:
        archive: our object storage.
        index: manifests, and where runs stand.
        sources: what lies outside.
        extractor: whose fingerprint documents are to have.
        log: where document events and next steps go.
        backlog: of the document events of runs.
        clock: the time.
        beat: called whenever a part of a long step is done.
        max_bulk_lag: unprocessed events above which no further page is sent.
        page_size: documents of a page.
        max_objects: objects of a cabinet's sources above which it is refused.
        metrics: of the process.
    """

    def __init__(
        self,
        *,
        archive: PlannerArchive,
        index: PlannerIndex,
        sources: SourceStore,
        extractor: Extractor,
        log: PlannerLog,
        backlog: BulkBacklog,
        clock: Clock,
        beat: Callable[[], None] = lambda: None,
        max_bulk_lag: int = _MAX_BULK_LAG,
        page_size: int = PAGE_SIZE,
        max_objects: int = _MAX_OBJECTS,
        metrics: Metrics | None = None,
    ) -> None:
        self._archive = archive
        self._index = index
        self._log = log
        self._backlog = backlog
        self._clock = clock
        self._max_bulk_lag = max_bulk_lag
        self._metrics = PlanMetrics(metrics or Metrics())
        self._plan = PlanRun(
            archive=archive,
            index=index,
            sources=sources,
            extractor=extractor,
            clock=clock,
            beat=beat,
            page_size=page_size,
            max_objects=max_objects,
        )
        self._emit = EmitPage(archive=archive, index=index, sources=sources, log=log, clock=clock)
        self._watch = WatchPages(index=index)
        self._take = TakeRun(index=index, log=log, clock=clock)

    async def request(self, event: ReindexRequested, lease: Lease) -> Outcome:
        """Plan a run and send its first step.

        Returns:
            Continued, also where another run is under way that does less: then the request is sent
            again; RunJoined where another run does what is asked for, or has done it; RunEnded
            where there is nothing to do, or the run has ended before; RunFailed.
        """
        del lease  # planning writes nothing twice
        cabinet = grant(event.cabinet_id)
        while True:
            state = await self._take.run(cabinet, event)
            if not isinstance(state, RunState):
                return state
            if state.phase is not RunStep.PLANNING:
                await self._send(state)
                return Continued()
            pages = RunPages(self._archive, cabinet, event.task_id)
            if state.tries >= MOST_TRIES and await pages.plan() is None:
                message = f"{MOST_TRIES} tries to plan the run came to no end, nor to an error"
                return await self._end(state, fault=RunFault(code="unexpected", message=message))
            async with self._take.one_try(cabinet, state) as counted:
                if counted is not None:
                    return await self._planned(counted, pages)

    async def _planned(self, state: RunState, pages: RunPages) -> Outcome:
        try:
            plan = await self._plan.run(pages.cabinet, state.request, epoch_of(state))
        except RunRefusedError as error:
            return await self._end(state, fault=RunFault(code=error.code, message=error.message))
        self._metrics.planned(plan.counts)
        result = planned(plan)
        if not plan.pages or await pages.is_cabinet_deleted(_epoch(state)):
            return await self._end(state, result=left(result))
        following = replace(
            state,
            phase=RunStep.EMITTING,
            step=state.step + 1,
            begun_at=self._clock.now(),
            result=result,
        )
        await self._advance(state, following)
        return Continued()

    async def proceed(self, event: RunContinued, lease: Lease) -> Outcome:
        """Do one step of a run, and send the next one.

        Returns:
            Continued, also where the step was done before; RunEnded or RunFailed at the end;
            RunJoined where the cabinet is at another run.
        """
        seen = await self._open(event)
        if not isinstance(seen, RunState):
            return seen
        pages = RunPages(self._archive, grant(event.cabinet_id), event.task_id)
        plan = await pages.plan()
        if plan is None:
            message = "the run's plan is gone from object storage"
            return await self._end(seen, fault=RunFault(code="unexpected", message=message))
        if await pages.is_cabinet_deleted(_epoch(seen)):
            return await self._end(seen, result=left(event.result))
        step = _Step(event=event, seen=seen, plan=plan, pages=pages, lease=lease)
        if event.phase is RunPhase.EMITTING:
            return await self._emitted(step)
        return await self._watched(step)

    async def give_up(
        self, event: ReindexRequested | RunContinued, code: str, message: str
    ) -> Outcome:
        """End a run as failed, so that the next request is not taken for one that joins it.

        Returns:
            RunFailed; what the run has ended with, where it has.
        """
        seen = await self._index.run_state(grant(event.cabinet_id))
        result = event.result if isinstance(event, RunContinued) else None
        if seen is None or seen.run_id != event.task_id:
            return RunFailed(code=code, message=message, result=result or RunResult())
        if not seen.is_open:
            return ending(seen)
        return await self._end(seen, result=result, fault=RunFault(code=code, message=message))

    async def plan(self, cabinet: AuthorisedCabinet, mode: ReindexMode) -> RunForecast:
        """Say what a run would do, without writing anything."""
        last = await self._index.run_state(cabinet)
        return await self._plan.forecast(cabinet, mode, None if last is None else last.pace)

    async def _open(self, event: RunContinued) -> RunState | Outcome:
        """Return the run as it stands, or what a step comes to that is not to be done."""
        seen = await self._index.run_state(grant(event.cabinet_id))
        if seen is None:
            message = "the index no longer knows the run: it was emptied meanwhile"
            return RunFailed(code="unexpected", message=message, result=event.result)
        if seen.run_id != event.task_id:
            # It has ended, and views keep its first end; or its state was lost, and this ends it.
            return RunJoined(run=seen.run_id)
        if not seen.is_open:
            return ending(seen)
        return Continued() if event.step < seen.step else seen

    async def _emitted(self, step: _Step) -> Outcome:
        event = step.event
        if await self._backlog.size(BULK) > self._max_bulk_lag:
            again = self._following(step, waits=event.waits + 1)
            return await self._go_on(step, again, after=throttled_for(event.waits))
        await self._emit.run(step.pages, event.page, step.lease)
        if event.page + 1 < step.plan.pages:
            return await self._go_on(step, self._following(step, page=event.page + 1))
        return await self._go_on(step, self._following(step, phase=RunStep.WATCHING))

    async def _watched(self, step: _Step) -> Outcome:
        event, plan = step.event, step.plan
        watched = await self._watch.run(
            step.pages, first=event.page, total=plan.pages, result=event.result
        )
        if watched.page == plan.pages:
            return await self._end(step.seen, result=watched.result, pace=self._pace(step))
        partly = watched.partly.model_copy(update={"eta_seconds": self._eta(step, watched.partly)})
        self._tell(event, partly)
        waits = event.waits + 1 if watched.is_waiting and watched.page == event.page else 0
        if waits and waits % _LOST_AFTER == 0:
            lost = await self._emit.run(step.pages, watched.page, step.lease, backlog=self._backlog)
            if lost:
                _log.warning("run_events_sent_again", run=event.task_id, events=lost)
                waits = 0
        following = self._following(
            step,
            phase=RunStep.WATCHING,
            page=watched.page,
            waits=waits,
            result=watched.result.model_copy(update={"eta_seconds": partly.eta_seconds}),
        )
        after = polled_after(waits) if watched.is_waiting else 0.0
        return await self._go_on(step, following, after=after)

    def _following(
        self,
        step: _Step,
        *,
        phase: RunStep = RunStep.EMITTING,
        page: int | None = None,
        waits: int = 0,
        result: RunResult | None = None,
    ) -> RunState:
        """Return the state in which the next step finds the run."""
        event = step.event
        same = event.page if phase.value == event.phase.value else 0
        return replace(
            step.seen,
            phase=phase,
            step=event.step + 1,
            page=same if page is None else page,
            waits=waits,
            begun_at=event.begun_at,
            result=event.result if result is None else result,
        )

    async def _go_on(self, step: _Step, following: RunState, *, after: float = 0.0) -> Outcome:
        if following.phase is RunStep.EMITTING:
            self._tell(step.event, following.result)
        await self._advance(step.seen, following, after=after)
        return Continued()

    async def _advance(self, seen: RunState, following: RunState, *, after: float = 0.0) -> None:
        await self._send(following, after=after)
        following = replace(following, changed_at=self._clock.now())
        await self._index.write_run_state(grant(seen.cabinet_id), following, seen=seen)

    async def _send(self, state: RunState, *, after: float = 0.0) -> None:
        due = self._clock.now() + timedelta(seconds=after) if after else None
        await send_step(self._log, state, due)

    async def _end(
        self,
        seen: RunState,
        *,
        result: RunResult | None = None,
        fault: RunFault | None = None,
        pace: float | None = None,
    ) -> Outcome:
        """Write how a run ended. Whoever called tells the status, and again if need be."""
        ended = closed(
            replace(
                seen,
                phase=RunStep.ENDED,
                step=seen.step + 1,
                result=(result or seen.result).model_copy(update={"eta_seconds": None}),
                fault=fault,
                pace=pace or seen.pace,
                changed_at=self._clock.now(),
            )
        )
        cabinet = grant(seen.cabinet_id)
        stands = await self._index.write_run_state(cabinet, ended, seen=seen)
        if stands is None:
            # A twin of this step went on, or has ended the run: then so it ended.
            stands = await self._index.run_state(cabinet)
        if stands is None or stands.run_id != seen.run_id or stands.is_open:
            return Continued()
        return ending(stands)

    def _tell(self, event: RunContinued, result: RunResult) -> None:
        done = result.success + result.failed + result.overtaken
        progressed = RunProgressed(
            task_id=event.task_id,
            cabinet_id=event.cabinet_id,
            progress=min(1.0, done / result.total) if result.total else 0.0,
            result=result,
            at=self._clock.now(),
        )
        self._log.post(_PROGRESS_TOPIC, key=progressed.key, value=encode(progressed))

    def _eta(self, step: _Step, result: RunResult) -> float | None:
        """Return the seconds until the end, at the pace since the first page was sent."""
        done = result.success + result.failed + result.overtaken
        if not done:
            return None
        return max(0.0, self._elapsed(step) * (result.total - done) / done)

    def _pace(self, step: _Step) -> float | None:
        """Return the chunks a second of a run that ends now; None where it had none to embed."""
        seconds = self._elapsed(step)
        return step.plan.chunks / seconds if step.plan.chunks and seconds > 0 else None

    def _elapsed(self, step: _Step) -> float:
        return (self._clock.now() - step.event.begun_at).total_seconds()


def _epoch(state: RunState) -> Epoch:
    return Epoch(microseconds(state.accepted_at))
