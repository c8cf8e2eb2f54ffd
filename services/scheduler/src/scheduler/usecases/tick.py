"""One look at the clock: emit what became due since the last one."""

from dataclasses import dataclass
from datetime import datetime

from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.reindex import ReindexRequested, ReindexTrigger, SlotsEmitted
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger
from scheduler.domain.due import Due, due
from scheduler.ports import EventLog, Journal, Lock, State
from scheduler.usecases.emission import Emission
from scheduler.usecases.tenure import Tenure, hold

__all__ = ["STATE", "Tick", "TickFigures"]

_log = get_logger(__name__)

STATE = "scheduler.state"


@dataclass(slots=True, kw_only=True)
class TickFigures:
    """What a tick has come to, after a failure, too."""

    cabinets: int = 0
    """That there are."""
    due: int = 0
    """Whose slots came since the watermark."""
    emitted: int = 0
    """Whose runs were asked for and acknowledged."""
    watermark: datetime | None = None
    """Up to when all slots are emitted; None where that is not known."""
    is_held_elsewhere: bool = False
    """Whether another scheduler holds the lock, and this one did nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Emits what is due, then moves the watermark.

    Args:
        in_flight: requests under way to Kafka at once.
    """

    state: State
    log: EventLog
    lock: Lock
    journal: Journal
    clock: Clock
    in_flight: int

    async def run(self, figures: TickFigures) -> None:
        """Do it once. Killed anywhere, the next tick completes it, with the same run ids.

        Raises:
            UnavailableError: Kafka is away; the watermark stays.
            LockError: who keeps the lock is away.
            LostLockError: another took over; the watermark stays.
        """
        async with hold(self.lock, self.clock) as tenure:
            if tenure is None:
                figures.is_held_elsewhere = True
                return
            await self._run(figures, tenure)

    async def _run(self, figures: TickFigures, tenure: Tenure) -> None:
        now = self.clock.now()
        figures.watermark = await self.state.watermark()
        if figures.watermark is None:
            # Nothing was ever promised: schedules begin now.
            await self._move(figures, now, tenure)
            return
        if figures.watermark >= now:
            ahead = (figures.watermark - now).total_seconds()
            _log.warning("watermark_ahead_of_the_clock", seconds=ahead)
            return
        cabinets = await self.state.cabinets()
        found = due(cabinets, after=figures.watermark, up_to=now)
        figures.cabinets, figures.due = len(cabinets), len(found)
        await self._emit(found, figures, tenure)
        await self._move(figures, now, tenure)
        if found:
            await self.journal.emitted(len(found))

    async def _emit(self, found: list[Due], figures: TickFigures, tenure: Tenure) -> None:
        emission = Emission(log=self.log, in_flight=self.in_flight)
        try:
            await emission.send((_request(one) for one in found), tenure.check)
        finally:
            figures.emitted = emission.emitted

    async def _move(self, figures: TickFigures, now: datetime, tenure: Tenure) -> None:
        tenure.check()
        event = SlotsEmitted(up_to=now)
        headers = Envelope(event_id=f"slots-emitted/{now.isoformat()}").to_headers()
        await self.log.send(STATE, key=event.key, value=encode(event), headers=headers)
        figures.watermark = now


def _request(one: Due) -> ReindexRequested:
    return ReindexRequested(
        task_id=one.run,
        cabinet_id=one.cabinet_id,
        trigger=ReindexTrigger.SCHEDULE,
        slot=one.slot,
        # Not the time of this try: an event that is emitted again says the same.
        accepted_at=one.at,
    )
