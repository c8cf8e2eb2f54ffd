"""Cabinets' settings in object storage, of which the newest counts."""

from dataclasses import dataclass, field
from datetime import datetime

from embedder.reconcile_ports import Archive
from embedder.usecases.reconcile_pass import Pass
from embedder.usecases.reconcile_report import Left, Mend, Seen
from embedder.usecases.reconcile_rules import instant
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.cabinets import CabinetConfigured
from kartoteka_contracts.codec import decode
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.ids import CabinetId, Version
from kartoteka_contracts.keys import cabinet_settings_prefix, record_version
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.object_listing import FoundObject

__all__ = ["ReconcileSettings", "StoredSettings", "newest_settings"]

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSettings:
    """What a cabinet's settings are."""

    event: CabinetConfigured | None = None
    """None where there are none, or the newest cannot be read."""
    is_unreadable: bool = False
    """Whether the newest are damaged, or of another release. An older one never stands in."""


class ReconcileSettings(Pass):
    """The pass over a cabinet's settings."""

    async def run(self, cabinet: AuthorisedCabinet) -> None:
        """Tell new settings again, and remove what they replaced long ago.

        Whether an event of theirs was lost is not asked: it costs more than one event, of which
        the last counts.
        """
        listed = await _listed(self.archive, cabinet.cabinet_id)
        self.report.seen[Seen.SETTINGS] += len(listed.found)
        newest = listed.newest
        if newest is None:
            return
        now = self.clock.now()
        await self._tell_again(listed.found[newest], now)
        limit = now - self.ages.record
        old = [
            found.key
            for version, found in sorted(listed.found.items())
            if version != newest and max(found.modified, instant(version)) < limit
        ]
        await self.mender.remove(Mend.OLD_SETTINGS, old)

    async def _tell_again(self, found: FoundObject, now: datetime) -> None:
        if found.modified < now - self.ages.settings:
            return
        if found.modified >= now - self.ages.grace:
            self.report.left[Left.YOUNG] += 1
            return
        stored = await _read(self.archive, found.key)
        if stored.event is None:
            self.report.left[Left.UNREADABLE] += 1
            return
        await self.mender.configure(stored.event)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """The versions that are kept of a cabinet's settings."""

    found: dict[Version, FoundObject] = field(default_factory=dict)

    @property
    def newest(self) -> Version | None:
        """The version that counts."""
        return max(self.found, default=None)


async def _listed(archive: Archive, cabinet: CabinetId) -> _Listed:
    """List all settings of a cabinet.

    Raises:
        UnavailableError: object storage is away.
    """
    return _Listed(
        found={
            version: found
            async for page in archive.pages(cabinet_settings_prefix(cabinet))
            for found in page
            if (version := record_version(found.key)) is not None
        }
    )


async def _read(archive: Archive, key: str) -> StoredSettings:
    """Read one version of settings.

    Raises:
        KartotekaError: ``body_missing``: it is gone.
        UnavailableError: object storage is away.
    """
    try:
        event = decode(await archive.read(key))
    except EventError:
        event = None
    if isinstance(event, CabinetConfigured):
        return StoredSettings(event=event)
    _log.warning("settings_unreadable", key=key)
    return StoredSettings(is_unreadable=True)


async def newest_settings(archive: Archive, cabinet: CabinetId) -> StoredSettings:
    """Return the settings of a cabinet that count.

    Raises:
        UnavailableError: object storage is away.
    """
    listed = await _listed(archive, cabinet)
    if listed.newest is None:
        return StoredSettings()
    return await _read(archive, listed.found[listed.newest].key)
