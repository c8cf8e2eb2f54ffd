"""Schedules: when a cabinet is due.

A slot is a nominal time of a schedule, in UTC. As in Debian's cron a time of day that a clock
change skips is made up for right after it, and one that it repeats counts once; schedules with a
``*`` for hour or minute simply follow the clock.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import StringConstraints, field_validator

from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.wire import Wire

__all__ = ["DEFAULT_CRON", "SPREAD", "Schedule", "spread"]

DEFAULT_CRON: Final = "0 */6 * * *"
"""Every six hours, at minute 0, once."""

SPREAD: Final = timedelta(minutes=30)
"""Over which the runs of one slot are spread."""

_FIELDS: Final = 5
_CLOCK_CHANGE: Final = timedelta(hours=3)
"""By more than that no clock is put forward or back."""
_NEVER: Final = datetime(1, 1, 2, tzinfo=UTC)
_PROBED_FROM: Final = datetime(2024, 1, 1, tzinfo=UTC)
_ZONES: Final = available_timezones()


class Schedule(Wire):
    """A cron expression in a time zone."""

    cron: Annotated[str, StringConstraints(max_length=200)] = DEFAULT_CRON
    """Minute, hour, day of month, month, day of week."""
    time_zone: Annotated[str, StringConstraints(max_length=64)] = "UTC"
    """A name of the IANA time zone database."""

    @field_validator("cron")
    @classmethod
    def _fires(cls, cron: str) -> str:
        if len(cron.split()) != _FIELDS:
            raise ValueError("a cron expression has five fields: minute hour day month weekday")
        if (problem := _problem(cron)) is not None:
            raise ValueError(problem)
        return " ".join(cron.split())

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in _ZONES:
            raise ValueError(f"{name!r} is no IANA time zone, as Europe/Berlin is one")
        return name

    def next_slot(self, after: datetime) -> datetime:
        """Return the first slot after a time (aware), in UTC."""
        slot = self._found_from(after)
        # Where clocks change by half an hour, whole hours that are counted over the change miss the
        # beginning of the hour that they look for.
        begin = slot.astimezone(ZoneInfo(self.time_zone)).replace(minute=0).astimezone(UTC)
        if (before := begin - timedelta(seconds=1)) > after:
            slot = min(slot, self._found_from(before))
        return slot

    def _found_from(self, after: datetime) -> datetime:
        return next(CronSim(self.cron, after.astimezone(ZoneInfo(self.time_zone)))).astimezone(UTC)

    def last_slot(self, *, after: datetime, up_to: datetime) -> datetime | None:
        """Return the last slot after a time and not after another (aware), in UTC, if any."""
        end = up_to
        while end > after:
            # Going back says where to look, no more: it leaves out, or makes up, times around a
            # change of the clock. What next_slot finds is true.
            start = max(after, self._slot_about(end) - _CLOCK_CHANGE)
            last, slot = None, self.next_slot(start)
            while slot <= up_to:
                last, slot = slot, self.next_slot(slot)
            if last is not None:
                return last
            end = start
        return None

    def _slot_about(self, end: datetime) -> datetime:
        behind = end.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for slot in CronSim(self.cron, behind.astimezone(ZoneInfo(self.time_zone)), reverse=True):
            if (found := slot.astimezone(UTC)) <= end:
                return found
        return _NEVER


@lru_cache(maxsize=1024)  # 100 000 cabinets have few different ones
def _problem(cron: str) -> str | None:
    try:
        next(CronSim(cron, _PROBED_FROM))
    except CronSimError as error:
        return f"{cron!r} is no cron expression: {error}"
    except StopIteration:
        return f"{cron!r} names no time that ever comes"
    return None


def spread(cabinet: CabinetId, over: timedelta = SPREAD) -> timedelta:
    """Return by how much a cabinet's runs come after their slots: always the same, below ``over``.

    Whole seconds, since 100 000 cabinets on one schedule must not start in one of them.
    """
    digest = hashlib.sha256(str(cabinet).encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:8], "big") % max(1, int(over.total_seconds())))
