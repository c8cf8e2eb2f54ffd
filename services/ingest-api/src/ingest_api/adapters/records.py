"""Bodies and records in object storage."""

from collections.abc import AsyncIterator, Sequence

from kartoteka_contracts.ids import CabinetId, DocumentId, Version
from kartoteka_contracts.keys import record_key, record_prefix, record_version
from kartoteka_contracts.records import DocumentRecord
from kartoteka_runtime.objects import ObjectStore

__all__ = ["ObjectArchive"]


class ObjectArchive:
    """The archive, in a folder or a bucket."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def write_body(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Stream a body; visible whole or not at all."""
        return await self._objects.write(key, chunks)

    async def discard_bodies(self, keys: Sequence[str]) -> None:
        """Delete bodies; absent ones are fine."""
        await self._objects.delete(keys)

    async def newest_version(self, cabinet: CabinetId, document: DocumentId) -> Version | None:
        """Return the highest version among the document's records: one listing."""
        keys = await self._objects.keys(record_prefix(cabinet, document))
        versions = [version for key in keys if (version := record_version(key)) is not None]
        return max(versions, default=None)

    async def create_record(self, record: DocumentRecord) -> bool:
        """Write the record create-if-absent."""
        key = record_key(record.cabinet_id, record.document_id, record.version)
        return await self._objects.create(key, record.model_dump_json().encode())
