"""Cabinets' settings in object storage: every version, the newest counts."""

from ingest_api.ports import StoredSettings
from kartoteka_contracts.cabinets import CabinetConfigured
from kartoteka_contracts.codec import decode, encode
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.keys import (
    cabinet_settings_key,
    cabinet_settings_prefix,
    record_version,
)
from kartoteka_runtime.objects import ObjectMissingError, ObjectStore

__all__ = ["ObjectSettings"]


class ObjectSettings:
    """The settings, in a folder or a bucket."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def newest(self, cabinet: CabinetId) -> StoredSettings | None:
        """Return the newest settings of a cabinet: one listing, one object."""
        keys = await self._objects.keys(cabinet_settings_prefix(cabinet))
        versions = [version for key in keys if (version := record_version(key)) is not None]
        if not versions:
            return None
        newest = max(versions)
        try:
            event = decode(await self._objects.read(cabinet_settings_key(cabinet, newest)))
        except (ObjectMissingError, EventError):
            event = None
        configured = event if isinstance(event, CabinetConfigured) else None
        return StoredSettings(version=newest, configured=configured)

    async def create(self, event: CabinetConfigured) -> bool:
        """Write the settings create-if-absent."""
        return await self._objects.create(
            cabinet_settings_key(event.cabinet_id, event.version), encode(event)
        )
