"""Plan a run: compare, see that nothing suspicious is removed, and write the pages."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from embedder.domain.reindex_plan import (
    PAGE_SIZE,
    Action,
    Entry,
    Page,
    Plan,
    RunForecast,
    counted,
    estimated,
    forecast_seconds,
)
from embedder.domain.reindex_verdict import Listed, Reason, microseconds, vanish_fault
from embedder.planner_ports import (
    PlannerArchive,
    PlannerIndex,
    SourceError,
    SourceStore,
)
from embedder.ports import Extractor
from embedder.usecases.reindex_pages import RunPages, settings_of
from embedder.usecases.reindex_survey import Found, Scope, Survey, SurveyCabinet
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import KartotekaError
from kartoteka_contracts.events import SourceObject
from kartoteka_contracts.ids import DocumentId, Epoch, Version
from kartoteka_contracts.reindex import ReindexMode, ReindexRequested, RunCounts
from kartoteka_runtime.clock import Clock

__all__ = ["PlanRun", "RunRefusedError"]


@dataclass(slots=True, kw_only=True)
class _Written:
    """What the pages of a run come to; the pages themselves are not kept."""

    pages: int = 0
    documents: set[DocumentId] = field(default_factory=set)
    reasons: Counter[Reason] = field(default_factory=Counter)
    chunks: int = 0
    """Of documents of which it is known how many they have."""
    unknown: int = 0
    """Documents of which it is not."""

    def take(self, page: Page) -> None:
        self.pages += 1
        for entry in page.entries:
            self.documents.add(entry.document_id)
            self.add(entry.reason, entry.chunks)

    def add(self, reason: Reason, chunks: int | None) -> None:
        self.reasons[reason] += 1
        if reason is Reason.VANISHED:
            return
        self.chunks += chunks or 0
        self.unknown += chunks is None


class RunRefusedError(KartotekaError):
    """The run must not go on: nothing of it was sent."""


class PlanRun:
    """The first half of a run. May be repeated at any point; a page that is there stays."""

    def __init__(
        self,
        *,
        archive: PlannerArchive,
        index: PlannerIndex,
        sources: SourceStore,
        extractor: Extractor,
        clock: Clock,
        beat: Callable[[], None],
        page_size: int = PAGE_SIZE,
        max_objects: int,
    ) -> None:
        self._archive = archive
        self._survey = SurveyCabinet(
            archive=archive, index=index, sources=sources, beat=beat, max_objects=max_objects
        )
        self._extractor = extractor
        self._clock = clock
        self._page_size = page_size

    async def run(self, cabinet: AuthorisedCabinet, event: ReindexRequested, epoch: Epoch) -> Plan:
        """Write the pages of a run and then its plan, or find them written.

        Args:
            cabinet: the run's.
            event: the request.
            epoch: of all that the run indexes anew; the same at every try.

        Raises:
            RunRefusedError: ``vanish_guard``, or a source that cannot be listed whole, is not
                allowed or holds too much; nothing is sent or removed.
            UnavailableError: a store is away.
        """
        pages = RunPages(self._archive, cabinet, event.task_id)
        plan = await pages.plan()
        if plan is not None:
            return plan
        written = await _read(pages)
        survey = await self._compare(
            cabinet,
            event.mode,
            only=None if event.document_ids is None else frozenset(event.document_ids),
            planned=written.documents,
        )
        fault = vanish_fault(survey.vanishing, is_confirmed=event.is_vanishing_confirmed)
        if fault is not None:
            raise RunRefusedError(*fault)
        await self._write(pages, epoch, written, survey)
        return await pages.keep_plan(_plan(written, survey))

    async def forecast(
        self, cabinet: AuthorisedCabinet, mode: ReindexMode, pace: float | None
    ) -> RunForecast:
        """Say what a run would do, without writing anything.

        Raises:
            UnavailableError: a store is away.
        """
        try:
            survey = await self._compare(cabinet, mode)
        except RunRefusedError as error:
            return RunForecast(
                mode=mode,
                total=0,
                counts=RunCounts(),
                chunks=0,
                estimated_seconds=0.0,
                fault=(error.code, error.message),
            )
        work = _Written()
        for found in survey.found:
            work.add(found.reason, found.chunks)
        chunks = estimated(work.chunks, work.unknown, survey.average_chunks)
        return RunForecast(
            mode=mode,
            total=len(survey.found) + survey.impossible,
            counts=counted(survey.reasons),
            chunks=chunks,
            estimated_seconds=forecast_seconds(chunks, pace),
            fault=vanish_fault(survey.vanishing, is_confirmed=False),
        )

    async def _compare(
        self,
        cabinet: AuthorisedCabinet,
        mode: ReindexMode,
        *,
        only: frozenset[DocumentId] | None = None,
        planned: Collection[DocumentId] = (),
    ) -> Survey:
        settings = await settings_of(self._archive, cabinet.cabinet_id)
        scope = Scope(
            cabinet=cabinet,
            mode=mode,
            sources=settings.sources,
            fingerprint=self._extractor.fingerprint,
            now=microseconds(self._clock.now()),
            only=only,
            planned=planned,
        )
        try:
            return await self._survey.run(scope)
        except SourceError as error:
            raise RunRefusedError(error.code, error.message) from error

    async def _write(
        self, pages: RunPages, epoch: Epoch, written: _Written, survey: Survey
    ) -> None:
        """Write what was found behind the pages that are there."""
        found, at = survey.found, 0
        while True:
            start = at
            entries: list[Entry] = []
            now = microseconds(self._clock.now())
            while at < len(found) and len(entries) < self._page_size:
                if found[at].document_id not in written.documents:
                    entries.append(_entry(found[at], epoch, now))
                at += 1
            if not entries:
                return
            page = Page(entries=tuple(entries))
            stands = await pages.keep_page(written.pages, page)
            written.take(stands)
            if stands is not page:
                # A twin of this delivery was faster: its page counts, and says what is left.
                at = start


async def _read(pages: RunPages) -> _Written:
    """Return what an earlier try at this plan has written."""
    written = _Written()
    while (page := await pages.page(written.pages)) is not None:
        written.take(page)
    return written


_ACTIONS = {
    Reason.NEW: Action.COPY,
    Reason.CHANGED: Action.COPY,
    Reason.STALE: Action.INDEX,
    Reason.FORCED: Action.INDEX,
    Reason.VANISHED: Action.DELETE,
}


def _entry(found: Found, run: Epoch, now: int) -> Entry:
    """Return what a page keeps of a finding."""
    action = _ACTIONS[found.reason]
    version, epoch = found.fence, Epoch(0)
    match action:
        case Action.INDEX:
            epoch = run
        case Action.COPY:
            version = Version(max(now, found.expected + 1))
        case Action.DELETE:
            version = Version(found.expected + 1)
    return Entry(
        document_id=found.document_id,
        external_id=found.external_id,
        action=action,
        reason=found.reason,
        expected=found.expected,
        version=version,
        epoch=epoch,
        is_forced=found.reason is Reason.FORCED,
        source=_object(found.listed) if action is Action.COPY else None,
        chunks=found.chunks,
    )


def _object(listed: Listed | None) -> SourceObject | None:
    if listed is None:
        return None
    return SourceObject(source=listed.source, path=listed.path, stamp=listed.stamp)


def _plan(written: _Written, survey: Survey) -> Plan:
    found = Counter(found.reason for found in survey.found)
    return Plan(
        pages=written.pages,
        total=written.reasons.total() + survey.impossible,
        entries=written.reasons.total(),
        chunks=estimated(written.chunks, written.unknown, survey.average_chunks),
        # A document counts for what its page says: it may be another by now.
        counts=counted(survey.reasons - found + written.reasons),
        errors=tuple(survey.errors),
    )
