"""Make index and view anew from object storage alone.

Object storage has all that was accepted: this sends it to the workers again, a little at a time,
and waits until they have decided. It holds no state: what is decided is left out, so it may be
ended and begun at any point.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from embedder.reconcile_ports import Archive, Backlog, Log, UpkeepIndex
from embedder.usecases.rebuild_cabinet import RebuildCabinet
from embedder.usecases.rebuild_records import NeededRecords
from embedder.usecases.rebuild_report import RebuildReport
from embedder.usecases.rebuild_window import JobSender, Limits, RebuildWindow, Undecided
from embedder.usecases.reconcile_listing import ListedDocument, batched, records
from embedder.usecases.reconcile_rules import is_undecided
from kartoteka_contracts.access import AuthorisedCabinet, grant
from kartoteka_contracts.ids import CabinetId, Version
from kartoteka_runtime.clock import Clock

__all__ = ["Rebuild", "RebuildPlan", "Watch"]

_CABINETS: Final = "cabinets/"
_BATCH: Final = 64
"""Documents whose manifests are read, and which are sent, at once."""

Watch = Callable[[RebuildReport], None]
"""Is told of the figures as they grow; never blocks or raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildPlan:
    """What to do."""

    cabinet: CabinetId | None = None
    """The only one; None for all."""
    is_dry: bool = False
    """Send nothing; count what is undecided."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """The use case."""

    archive: Archive
    index: UpkeepIndex
    backlog: Backlog
    log: Log
    clock: Clock

    async def run(self, plan: RebuildPlan, watch: Watch = lambda _: None) -> RebuildReport:
        """Send everything that is undecided, and wait until it is decided.

        Args:
            plan: what to do.
            watch: is told after every step. It has the report also where this raises.

        Raises:
            UnavailableError: a store or Kafka is away; what was sent by then is done all the same.
            TimeoutError: nothing is decided any more.
        """
        report = RebuildReport(is_dry=plan.is_dry)
        began = self.clock.monotonic()

        def tell() -> None:
            report.seconds = self.clock.monotonic() - began
            watch(report)

        one = _Run(self, plan, report, tell)
        await one.survey()
        tell()
        report.survey_seconds = report.seconds
        await one.send()
        tell()
        return report


class _Run:
    """One run of a plan."""

    def __init__(
        self, ports: Rebuild, plan: RebuildPlan, report: RebuildReport, tell: Callable[[], None]
    ) -> None:
        self._ports, self._plan, self._report, self._tell = ports, plan, report, tell
        self._records = NeededRecords(archive=ports.archive, report=report)
        sender = JobSender(log=ports.log, report=report)
        self._window = RebuildWindow(
            index=ports.index,
            backlog=ports.backlog,
            sender=sender,
            records=self._records,
            clock=ports.clock,
            report=report,
            limits=plan.limits,
            tell=tell,
        )
        self._cabinet = RebuildCabinet(
            archive=ports.archive,
            index=ports.index,
            backlog=ports.backlog,
            log=ports.log,
            sender=sender,
            window=self._window,
            clock=ports.clock,
            report=report,
        )

    async def survey(self) -> None:
        """Count what there is, so that an end can be estimated."""
        async for cabinet in self._cabinets():
            self._report.cabinets += 1
            async for batch in batched(records(self._ports.archive, cabinet.cabinet_id)):
                self._report.documents += len(batch)
                self._report.todo += len(await self._undecided(cabinet, batch))
                self._tell()
            self._tell()

    async def send(self) -> None:
        """Send cabinet by cabinet; their documents may be under way together."""
        async for cabinet in self._cabinets():
            await self._announce(cabinet)
            await self._cabinet.delete(cabinet)
            if self._plan.is_dry:
                continue
            listed = records(self._ports.archive, cabinet.cabinet_id)
            async for batch in batched(listed, min(_BATCH, self._plan.limits.documents)):
                await self._send(cabinet, batch)
        await self._window.drain()

    async def _announce(self, cabinet: AuthorisedCabinet) -> None:
        documents = records(self._ports.archive, cabinet.cabinet_id)
        first = await anext(documents, None)
        await self._cabinet.announce(cabinet, has_documents=first is not None)

    async def _send(self, cabinet: AuthorisedCabinet, batch: list[ListedDocument]) -> None:
        wanted = []
        for listed, fence in await self._undecided(cabinet, batch):
            versions = await self._records.versions(cabinet, listed, above=fence)
            if versions:
                document = Undecided(
                    cabinet=cabinet, document_id=listed.document_id, versions=deque(versions)
                )
                wanted.append(document)
        if wanted:
            await self._window.put(wanted)
        self._tell()

    async def _undecided(
        self, cabinet: AuthorisedCabinet, batch: list[ListedDocument]
    ) -> list[tuple[ListedDocument, Version]]:
        """Return the documents with newer records than were decided, and what was decided."""
        ids = [listed.document_id for listed in batch]
        manifests = await self._ports.index.manifests(cabinet, ids)
        found = []
        for listed in batch:
            newest, manifest = listed.newest, manifests.get(listed.document_id)
            if newest is not None and is_undecided(newest, manifest):
                found.append((listed, Version(0) if manifest is None else manifest.fence))
        return found

    async def _cabinets(self) -> AsyncIterator[AuthorisedCabinet]:
        if self._plan.cabinet is not None:
            # The operator who may run this may see every cabinet.
            yield grant(self._plan.cabinet)
            return
        folders = await self._ports.archive.folders(_CABINETS)
        for number in sorted(int(name) for name in folders if name.isdecimal()):
            if number > 0:
                yield grant(CabinetId(number))
