"""Cabinets' settings in object storage, of which the newest counts."""

from dataclasses import dataclass, field

from embedder.reconcile_ports import Archive
from kartoteka_contracts.cabinets import CabinetConfigured
from kartoteka_contracts.codec import decode
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.ids import CabinetId, Version
from kartoteka_contracts.keys import cabinet_settings_prefix, record_version
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.object_listing import FoundObject

__all__ = ["StoredSettings", "listed_settings", "newest_settings", "read_settings"]

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSettings:
    """What a cabinet's settings are."""

    event: CabinetConfigured | None = None
    """None where there are none, or the newest cannot be read."""
    is_unreadable: bool = False
    """Whether the newest are damaged, or of another release. An older one never stands in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSettings:
    """The versions that are kept of a cabinet's settings."""

    found: dict[Version, FoundObject] = field(default_factory=dict)

    @property
    def newest(self) -> Version | None:
        """The version that counts."""
        return max(self.found, default=None)


async def listed_settings(archive: Archive, cabinet: CabinetId) -> ListedSettings:
    """List all settings of a cabinet.

    Raises:
        UnavailableError: object storage is away.
    """
    return ListedSettings(
        found={
            version: found
            async for page in archive.pages(cabinet_settings_prefix(cabinet))
            for found in page
            if (version := record_version(found.key)) is not None
        }
    )


async def read_settings(archive: Archive, key: str) -> StoredSettings:
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
    listed = await listed_settings(archive, cabinet)
    if listed.newest is None:
        return StoredSettings()
    return await read_settings(archive, listed.found[listed.newest].key)
