"""Bodies that nothing can ask for again."""

from embedder.ports import Bodies
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.keys import body_prefix, record_prefix, record_version
from kartoteka_contracts.records import DocumentRecord, read_record
from kartoteka_runtime.logs import get_logger

__all__ = ["OlderBodies"]

_log = get_logger(__name__)


class OlderBodies:
    """The bodies of a document's older versions."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies

    async def delete(self, event: DocumentSubmitted) -> None:
        """Delete every body that a record below this version names.

        A body without a record stays: its upload may still be under way. Safe to repeat.

        Raises:
            UnavailableError: object storage is away.
        """
        cabinet, document = event.cabinet_id, event.document_id
        others = set(await self._bodies.keys(body_prefix(cabinet, document))) - {event.body_key}
        if not others:
            return
        obsolete: list[str] = []
        for key in await self._bodies.keys(record_prefix(cabinet, document)):
            version = record_version(key)
            if version is None or version >= event.version:
                continue
            record = read_record(await self._bodies.read(key))
            if record is None:
                # Of another release, or damaged. Its body stays; what is published is well.
                _log.warning("record_unreadable", key=key)
            elif isinstance(record, DocumentRecord) and record.body_key in others:
                obsolete.append(record.body_key)
        await self._bodies.delete(obsolete)
