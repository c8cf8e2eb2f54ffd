"""Runs that a person asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kartoteka_contracts.ids import CabinetId, TaskId, new_task_id
from kartoteka_contracts.reindex import ReindexMode, ReindexRequested, ReindexTrigger
from kartoteka_runtime.clock import Clock
from scheduler.ports import EventLog, State
from scheduler.usecases.emission import Emission

__all__ = ["Reindex", "ReindexFigures", "Wanted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for."""

    cabinets: tuple[CabinetId, ...] = ()
    """These; none: all that are enabled."""
    mode: ReindexMode = ReindexMode.CHANGED
    is_vanishing_confirmed: bool = False


@dataclass(slots=True, kw_only=True)
class ReindexFigures:
    """What it has come to, after a failure, too."""

    cabinets: int = 0
    """That there are, or that were named."""
    due: int = 0
    """Whose runs were to be asked for."""
    emitted: int = 0
    """Whose runs were asked for and acknowledged."""
    runs: dict[CabinetId, TaskId] = field(default_factory=dict)
    """The tasks of named cabinets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reindex:
    """Asks for runs now, whatever the schedules say. It moves no watermark."""

    state: State
    log: EventLog
    clock: Clock
    in_flight: int

    async def run(self, wanted: Wanted, figures: ReindexFigures) -> None:
        """Ask for a run of each cabinet.

        Raises:
            UnavailableError: Kafka is away; asking again is safe, a run under way is joined.
        """
        chosen = await self._chosen(wanted, figures)
        runs = {cabinet: new_task_id() for cabinet in chosen}
        if wanted.cabinets:
            figures.runs = runs
        emission = Emission(log=self.log, in_flight=self.in_flight)
        now = self.clock.now()
        try:
            await emission.send(
                ReindexRequested(
                    task_id=task,
                    cabinet_id=cabinet,
                    mode=wanted.mode,
                    trigger=ReindexTrigger.MANUAL,
                    is_vanishing_confirmed=wanted.is_vanishing_confirmed,
                    accepted_at=now,
                )
                for cabinet, task in runs.items()
            )
        finally:
            figures.emitted = emission.emitted

    async def _chosen(self, wanted: Wanted, figures: ReindexFigures) -> Sequence[CabinetId]:
        if wanted.cabinets:
            # They need not be known here: their settings may be in object storage only.
            chosen = list(dict.fromkeys(wanted.cabinets))
            figures.cabinets = len(chosen)
        else:
            register = await self.state.cabinets()
            chosen = [cabinet.cabinet_id for cabinet in register if cabinet.is_enabled]
            figures.cabinets = len(register)
        figures.due = len(chosen)
        return chosen
