"""What became due: pure, and the same for the same times."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kartoteka_contracts.ids import CabinetId, TaskId, run_task_id
from kartoteka_contracts.schedule import SPREAD, Schedule, spread
from scheduler.domain.register import Cabinet

__all__ = ["Due", "due"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A slot of a cabinet that is to be emitted."""

    cabinet_id: CabinetId
    slot: datetime
    """The schedule's nominal time."""
    at: datetime
    """When it was to be emitted: the slot and the cabinet's spread."""

    @property
    def run(self) -> TaskId:
        """Derived from cabinet and slot, so that emitting it again is the same run."""
        return run_task_id(self.cabinet_id, self.slot)


def due(cabinets: Iterable[Cabinet], *, after: datetime, up_to: datetime) -> list[Due]:
    """Return what is to be emitted after a time and not after another, oldest first.

    Of a cabinet that missed several slots only the last one is: one run brings it up to date.
    """
    found = list(_due(cabinets, after=after, up_to=up_to))
    found.sort(key=lambda one: (one.at, one.cabinet_id))
    return found


def _due(cabinets: Iterable[Cabinet], *, after: datetime, up_to: datetime) -> Iterator[Due]:
    slots = _LastSlots(after - SPREAD)
    for cabinet in cabinets:
        if not cabinet.is_enabled:
            continue
        by = spread(cabinet.cabinet_id)
        slot = slots.find(cabinet.schedule, up_to - by)
        if slot is not None and after < slot + by and slot >= cabinet.since:
            yield Due(cabinet_id=cabinet.cabinet_id, slot=slot, at=slot + by)


class _LastSlots:
    """The last slots of schedules, each computed once.

    Slots lie on full minutes, and a spread is below half an hour: 100 000 cabinets of one schedule
    ask for 31 different minutes.
    """

    def __init__(self, after: datetime) -> None:
        self._after = after
        self._found: dict[tuple[str, str, datetime], datetime | None] = {}

    def find(self, schedule: Schedule, up_to: datetime) -> datetime | None:
        minute = up_to - timedelta(seconds=up_to.second, microseconds=up_to.microsecond)
        key = (schedule.cron, schedule.time_zone, minute)
        if key not in self._found:
            self._found[key] = schedule.last_slot(after=self._after, up_to=minute)
        return self._found[key]
