"""Bodies that nothing can ask for again."""

from embedder.ports import Bodies
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import CabinetId, DocumentId, Version
from kartoteka_contracts.keys import body_prefix, record_prefix, record_version
from kartoteka_contracts.records import DocumentRecord, read_record
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.objects import ObjectMissingError

__all__ = ["OlderBodies"]

_log = get_logger(__name__)


class OlderBodies:
    """The bodies of a document's older versions.

    A body without a record stays: its upload may still be under way. All calls are safe to repeat.
    """

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies

    async def delete(self, event: DocumentSubmitted) -> None:
        """Delete every body that a record below this version names, but not this version's own.

        Raises:
            UnavailableError: object storage is away.
        """
        await self._delete(
            event.cabinet_id, event.document_id, Version(event.version - 1), keep=event.body_key
        )

    async def delete_up_to(self, cabinet: CabinetId, document: DocumentId, version: Version) -> int:
        """Delete every body that a record of this version or a lower one names.

        Returns:
            How many there were.

        Raises:
            UnavailableError: object storage is away.
        """
        return await self._delete(cabinet, document, version)

    async def _delete(
        self, cabinet: CabinetId, document: DocumentId, version: Version, *, keep: str | None = None
    ) -> int:
        found = set(await self._bodies.keys(body_prefix(cabinet, document))) - {keep}
        if not found:
            return 0
        obsolete: set[str] = set()
        for key in await self._bodies.keys(record_prefix(cabinet, document)):
            recorded = record_version(key)
            if recorded is None or recorded > version:
                continue
            try:
                record = read_record(await self._bodies.read(key))
            except ObjectMissingError:
                continue  # reconciliation was faster: it takes the bodies, too
            if record is None:
                # Of another release, or damaged. Its body stays; what is published is well.
                _log.warning("record_unreadable", key=key)
            elif isinstance(record, DocumentRecord) and record.body_key in found:
                obsolete.add(record.body_key)
        await self._bodies.delete(sorted(obsolete))
        return len(obsolete)
