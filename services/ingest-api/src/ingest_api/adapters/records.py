"""Bodies, records, claims and requests to remove something, in object storage."""

from collections.abc import AsyncIterator, Iterable, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from ingest_api.domain.idempotency import Claim
from kartoteka_contracts.codec import encode
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.events import CabinetDeletionRequested, TaskCancellationRequested
from kartoteka_contracts.ids import CabinetId, DocumentId, TaskId, Version
from kartoteka_contracts.keys import (
    cabinet_deletion_key,
    cabinet_deletions_prefix,
    cancel_key,
    record_key,
    record_prefix,
    record_version,
    records_prefix,
)
from kartoteka_contracts.records import DocumentRecord, Record, encode_record, read_record
from kartoteka_runtime.objects import ObjectMissingError, ObjectStore

__all__ = ["ObjectArchive"]


class _StoredClaim(BaseModel):
    model_config = ConfigDict(extra="ignore")

    digest: str
    record: DocumentRecord
    traceparent: str | None = None


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
        return await self._newest(record_prefix(cabinet, document))

    async def create_record(self, record: Record) -> bool:
        """Write the record create-if-absent."""
        key = record_key(record.cabinet_id, record.document_id, record.version)
        return await self._objects.create(key, encode_record(record))

    async def task_at(
        self, cabinet: CabinetId, document: DocumentId, version: Version
    ) -> TaskId | None:
        """Return whose record has the version; None where there is none that can be read."""
        record = await self._record(cabinet, document, version)
        return None if record is None else record.task_id

    async def claim(self, key: str) -> Claim | None:
        """Return a claim.

        Raises:
            RequestError: ``idempotency_mismatch``: it cannot be read by this release.
        """
        content = await self._read(key)
        if content is None:
            return None
        try:
            stored = _StoredClaim.model_validate_json(content)
        except ValidationError as error:
            raise RequestError("idempotency_mismatch") from error
        return Claim(digest=stored.digest, record=stored.record, traceparent=stored.traceparent)

    async def create_claim(self, key: str, claim: Claim) -> bool:
        """Write a claim create-if-absent."""
        stored = _StoredClaim(
            digest=claim.digest, record=claim.record, traceparent=claim.traceparent
        )
        return await self._objects.create(key, stored.model_dump_json().encode())

    async def newest_record(self, cabinet: CabinetId, document: DocumentId) -> Record | None:
        """Return the newest record of a document that can be read."""
        keys = await self._objects.keys(record_prefix(cabinet, document))
        for version in sorted(_versions(keys), reverse=True):
            record = await self._record(cabinet, document, version)
            if record is not None:
                return record
        return None

    async def newest_in(self, cabinet: CabinetId) -> Version | None:
        """Return the highest version of all that was ever asked of a cabinet: two listings."""
        asked = await self._newest(cabinet_deletions_prefix(cabinet))
        newest = await self._newest(records_prefix(cabinet))
        return max((one for one in (asked, newest) if one is not None), default=None)

    async def create_cabinet_deletion(self, event: CabinetDeletionRequested) -> bool:
        """Write the request create-if-absent."""
        key = cabinet_deletion_key(event.cabinet_id, event.version)
        return await self._objects.create(key, encode(event))

    async def mark_cancelled(self, event: TaskCancellationRequested) -> None:
        """Leave the mark of a cancellation; one that is there stays."""
        key = cancel_key(event.cabinet_id, event.document_id, event.version, event.task_id)
        await self._objects.create(key, encode(event))

    async def _newest(self, prefix: str) -> Version | None:
        newest: Version | None = None
        async for key in self._objects.each_key(prefix):
            version = record_version(key)
            if version is not None and (newest is None or version > newest):
                newest = version
        return newest

    async def _record(
        self, cabinet: CabinetId, document: DocumentId, version: Version
    ) -> Record | None:
        content = await self._read(record_key(cabinet, document, version))
        return None if content is None else read_record(content)

    async def _read(self, key: str) -> bytes | None:
        try:
            return await self._objects.read(key)
        except ObjectMissingError:
            return None


def _versions(keys: Iterable[str]) -> list[Version]:
    return [version for key in keys if (version := record_version(key)) is not None]
