"""A cabinet as a view knows it: what it is to be, and when its next run comes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.schedule import spread

__all__ = ["Cabinet"]

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cabinet:
    """A cabinet that had an upload or was configured."""

    cabinet_id: CabinetId
    seen_at: datetime | None = None
    """When it got its first upload."""
    configured: CabinetConfigured | None = None
    """Its newest settings. One of both is there."""

    def __post_init__(self) -> None:
        if self.seen_at is None and self.configured is None:
            raise ValueError("nothing says that there is such a cabinet")

    @property
    def settings(self) -> CabinetSettings:
        """What it is to be: the defaults where nobody has said."""
        return CabinetSettings() if self.configured is None else self.configured.settings

    @property
    def created_at(self) -> datetime:
        """When it was first heard of."""
        configured_at = None if self.configured is None else self.configured.created_at
        known = [at for at in (self.seen_at, configured_at) if at is not None]
        return min(known)

    def next_run_at(self, now: datetime) -> datetime | None:
        """Return when its schedule asks for the next run; None where it asks for none."""
        settings = self.settings
        if not settings.enabled:
            return None
        late = spread(self.cabinet_id)
        # A slot is asked for only after its spread, and counts only from the cabinet's begin on.
        return settings.schedule.next_slot(max(now - late, self.created_at - _INSTANT)) + late
