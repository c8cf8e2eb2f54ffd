"""Which cabinets there are, folded from what the topic says of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSeen
from kartoteka_contracts.ids import CabinetId, Version
from kartoteka_contracts.schedule import Schedule

__all__ = ["Cabinet", "Register"]

_DEFAULT: Final = Schedule()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cabinet:
    """What a schedule needs to know of a cabinet."""

    cabinet_id: CabinetId
    schedule: Schedule
    since: datetime
    """Slots from then on count."""
    is_enabled: bool
    """Whether its schedule starts runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Configured:
    version: Version
    schedule: Schedule
    created_at: datetime
    is_enabled: bool


class Register:
    """All cabinets. Of each it keeps what a schedule needs, in some hundred bytes."""

    def __init__(self) -> None:
        self._configured: dict[CabinetId, _Configured] = {}
        self._seen: dict[CabinetId, datetime] = {}
        self._schedules: dict[tuple[str, str], Schedule] = {}

    def configured(self, event: CabinetConfigured) -> None:
        """Take settings in; older ones than are known change nothing."""
        known = self._configured.get(event.cabinet_id)
        if known is not None and known.version > event.version:
            return
        self._configured[event.cabinet_id] = _Configured(
            version=event.version,
            schedule=self._shared(event.settings.schedule),
            created_at=event.created_at,
            is_enabled=event.settings.enabled,
        )

    def seen(self, event: CabinetSeen) -> None:
        """Take a first upload in; of several the earliest counts."""
        known = self._seen.get(event.cabinet_id)
        if known is None or event.at < known:
            self._seen[event.cabinet_id] = event.at

    def __len__(self) -> int:
        """Return how many cabinets there are, disabled ones included."""
        return len(self._configured.keys() | self._seen.keys())

    def __iter__(self) -> Iterator[Cabinet]:
        """Give every cabinet, in the order of their ids."""
        for cabinet in sorted(self._configured.keys() | self._seen.keys()):
            yield self._cabinet(cabinet)

    def _cabinet(self, cabinet: CabinetId) -> Cabinet:
        configured, seen = self._configured.get(cabinet), self._seen.get(cabinet)
        begins = [at for at in (seen, None if configured is None else configured.created_at) if at]
        return Cabinet(
            cabinet_id=cabinet,
            schedule=_DEFAULT if configured is None else configured.schedule,
            # Settings that come to a cabinet with uploads must not cost it a slot.
            since=min(begins),
            is_enabled=configured is None or configured.is_enabled,
        )

    def _shared(self, schedule: Schedule) -> Schedule:
        return self._schedules.setdefault((schedule.cron, schedule.time_zone), schedule)
