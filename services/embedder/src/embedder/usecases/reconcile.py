"""Hold what was asked for (object storage) against what was decided (index) and runs (Kafka).

Afterwards nothing that was accepted is undone for good, and nothing that is obsolete stays. Every
step may run beside live work, beside another reconciliation, and again after a crash.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from embedder.reconcile_ports import Archive, Backlog, Log, UpkeepIndex
from embedder.usecases.reconcile_bodies import ReconcileBodies
from embedder.usecases.reconcile_cabinets import ReconcileCabinetDeletions
from embedder.usecases.reconcile_chunks import SweepChunks
from embedder.usecases.reconcile_mends import Mender
from embedder.usecases.reconcile_pass import Pass
from embedder.usecases.reconcile_records import ReconcileRecords
from embedder.usecases.reconcile_report import Mend, Report, Seen
from embedder.usecases.reconcile_rules import Ages
from embedder.usecases.reconcile_runs import ReconcileRuns
from embedder.usecases.reconcile_settings import ReconcileSettings
from kartoteka_contracts.access import grant
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.keys import claim_prefix
from kartoteka_runtime.clock import Clock

__all__ = ["Plan", "Reconcile", "Watch"]

_CABINETS: Final = "cabinets/"
_PASSES: Final[tuple[type[Pass], ...]] = (
    ReconcileCabinetDeletions,
    ReconcileRecords,
    SweepChunks,
    ReconcileBodies,
    ReconcileRuns,
    ReconcileSettings,
)

Watch = Callable[[Report], None]
"""Is told of the figures as they grow; never blocks or raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do."""

    cabinet: CabinetId | None = None
    """The only cabinet to look at; None for all, and for what belongs to none."""
    is_dry: bool = False
    """Change nothing, and count what would be changed."""
    ages: Ages = field(default_factory=Ages)
    rate: float = 100.0
    """Changes a second at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """The use case."""

    archive: Archive
    index: UpkeepIndex
    backlog: Backlog
    log: Log
    clock: Clock

    async def run(self, plan: Plan, watch: Watch = lambda _: None) -> Report:
        """Look at everything once, and mend it.

        Args:
            plan: what to do.
            watch: is told after every step. It has the report also where this raises.

        Raises:
            UnavailableError: a store or Kafka is away; what is done by then is done.
        """
        began = self.clock.monotonic()
        report = Report(is_dry=plan.is_dry)

        def tell() -> None:
            report.seconds = self.clock.monotonic() - began
            watch(report)

        one = _Run(self, plan, report, tell)
        tell()
        if plan.cabinet is None:
            await one.claims()
        async for cabinet in one.cabinets():
            report.seen[Seen.CABINETS] += 1
            await one.cabinet(cabinet)
            tell()
        tell()
        return report


class _Run:
    """One run of a plan."""

    def __init__(
        self, ports: Reconcile, plan: Plan, report: Report, tell: Callable[[], None]
    ) -> None:
        self._ports = ports
        self._plan = plan
        self._report = report
        self._tell = tell
        self._mender = Mender(
            archive=ports.archive,
            index=ports.index,
            log=ports.log,
            clock=ports.clock,
            report=report,
            rate=plan.rate,
        )

    async def claims(self) -> None:
        """Remove what Idempotency-Keys stood for: nobody may repeat so old a request."""
        limit = self._ports.clock.now() - self._plan.ages.claim
        async for page in self._ports.archive.pages(claim_prefix()):
            self._report.seen[Seen.CLAIMS] += len(page)
            old = [found.key for found in page if found.modified < limit]
            await self._mender.remove(Mend.OLD_CLAIMS, old)
            self._tell()

    async def cabinets(self) -> AsyncIterator[CabinetId]:
        """Give the cabinets that object storage or the index has anything of."""
        if self._plan.cabinet is not None:
            self._report.cabinets_total = 1
            yield self._plan.cabinet
            return
        folders = await self._ports.archive.folders(_CABINETS)
        known = {CabinetId(int(name)) for name in folders if name.isdecimal() and int(name) > 0}
        self._report.cabinets_total = len(known)
        for cabinet in sorted(known):
            yield cabinet
        while (other := await self._ports.index.other_cabinet(known)) is not None:
            known.add(other)
            self._report.cabinets_total += 1
            yield other
        async for state in self._ports.index.open_runs():
            if state.cabinet_id not in known:  # it has nothing yet but this run
                known.add(state.cabinet_id)
                self._report.cabinets_total += 1
                yield state.cabinet_id

    async def cabinet(self, cabinet_id: CabinetId) -> None:
        """Reconcile one cabinet."""
        # The operator who may run this may see every cabinet.
        cabinet = grant(cabinet_id)
        for kind in _PASSES:
            step = kind(
                archive=self._ports.archive,
                index=self._ports.index,
                backlog=self._ports.backlog,
                mender=self._mender,
                report=self._report,
                ages=self._plan.ages,
                clock=self._ports.clock,
                tell=self._tell,
            )
            await step.run(cabinet)
