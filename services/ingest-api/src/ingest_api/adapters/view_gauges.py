"""What the view holds, and how old it is, as gauges that are counted now and then."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from ingest_api.domain.figures import Backlog, ViewFigures
from kartoteka_contracts.errors import UnavailableError
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.metric_table import Rows
from kartoteka_runtime.metrics import Metrics

__all__ = ["CountedView", "Counts", "ViewGauges"]

_EVERY_SECONDS: Final = 5.0
_LONGEST_SECONDS: Final = 60.0
_DOCUMENTS: Final = (Backlog.INTERACTIVE, Backlog.BULK, Backlog.RETRY, Backlog.BULK_RETRY)


class CountedView(Protocol):
    """The view, as far as its age goes."""

    @property
    def is_caught_up(self) -> bool:
        """Whether it has reached the log's end as it was when reading began."""
        ...

    async def reach_end(self, *, within: float) -> None:
        """Return once it has all that was there; UnavailableError after so many seconds."""
        ...


class Counts(Protocol):
    """What counts."""

    async def figures(self) -> ViewFigures:
        """Return the figures. Raises UnavailableError where they cannot be read."""
        ...


class ViewGauges:
    """The gauges. Before the view has caught up they have no values: it would be half of a week.

    Args:
        metrics: of the process.
        view: whose age is told.
        counts: what it holds.
        clock: the time.
        every: seconds between two counts.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        view: CountedView,
        counts: Counts,
        clock: Clock,
        every: float = _EVERY_SECONDS,
    ) -> None:
        self._view = view
        self._counts = counts
        self._clock = clock
        self._every = every
        self._figures: ViewFigures | None = None
        self._fresh_at: float | None = None
        self._define(metrics)

    async def run(self) -> None:
        """Count again and again until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_counting())
            group.create_task(self._keep_looking())

    async def count(self) -> None:
        """Count once; what cannot be counted has no value."""
        try:
            self._figures = await self._counts.figures() if self._view.is_caught_up else None
        except UnavailableError:
            self._figures = None

    async def look(self, *, within: float = _LONGEST_SECONDS) -> None:
        """See once whether the view has all that is on the log now."""
        asked = self._clock.monotonic()
        try:
            await self._view.reach_end(within=within)
        except UnavailableError:
            return
        self._fresh_at = asked

    async def _keep_counting(self) -> None:
        while True:
            await self.count()
            await asyncio.sleep(self._every)

    async def _keep_looking(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._every)

    def _define(self, metrics: Metrics) -> None:
        metrics.table(
            "backlog_documents",
            "Accepted document tasks without an end, by where they wait; no value while the view "
            "is not built",
            ("class",),
        ).read(lambda: self._each(lambda sort, figures: figures.waiting[sort].count))
        metrics.table(
            "backlog_oldest_age_seconds",
            "Seconds since the oldest of them was asked for; 0 where there is none",
            ("class",),
        ).read(lambda: self._each(lambda sort, figures: self._age(figures.waiting[sort].since)))
        metrics.table(
            "dead_letters_open", "Dead letters that were neither replayed nor discarded"
        ).read(lambda: self._one(lambda figures: figures.letters_open))
        metrics.table("reindex_runs_open", "Reindex runs without an end").read(
            lambda: self._one(lambda figures: figures.waiting[Backlog.RUN].count)
        )
        metrics.table(
            "reindex_oldest_run_age_seconds",
            "Seconds since the oldest reindex run without an end was asked for; 0 where there is "
            "none",
        ).read(lambda: self._one(lambda figures: self._age(figures.waiting[Backlog.RUN].since)))
        metrics.table(
            "view_stale_seconds",
            "Seconds since this replica's view is known to have had all that was on the log; no "
            "value before it had",
        ).read(self._staleness)

    def _each(self, value: Callable[[Backlog, ViewFigures], float]) -> Rows | None:
        figures = self._figures
        if figures is None:
            return None
        return {(sort.value,): value(sort, figures) for sort in _DOCUMENTS}

    def _one(self, value: Callable[[ViewFigures], float]) -> Rows | None:
        return None if self._figures is None else {(): value(self._figures)}

    def _age(self, since: datetime | None) -> float:
        return 0.0 if since is None else max(0.0, (self._clock.now() - since).total_seconds())

    def _staleness(self) -> Rows | None:
        at = self._fresh_at
        return None if at is None else {(): self._clock.monotonic() - at}
