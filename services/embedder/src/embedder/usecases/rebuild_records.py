"""Which records of a document a rebuild needs, and the events that they stand for."""

from dataclasses import dataclass
from typing import Final

from embedder.reconcile_ports import Archive
from embedder.usecases.rebuild_report import RebuildReport
from embedder.usecases.reconcile_listing import ListedDocument
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.events import DocumentDeletionRequested, DocumentSubmitted
from kartoteka_contracts.ids import DocumentId, Version
from kartoteka_contracts.keys import body_prefix, record_key
from kartoteka_contracts.records import DeletionRecord, Record, read_record
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.objects import ObjectMissingError

__all__ = ["NeededRecords"]

_log = get_logger(__name__)

_LEAST: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededRecords:
    """Reads records; keeps none."""

    archive: Archive
    report: RebuildReport

    async def versions(
        self, cabinet: AuthorisedCabinet, listed: ListedDocument, *, above: Version
    ) -> list[Version]:
        """Return the versions to be sent, ascending, each once the one before it is decided.

        The newest is always one of them. Older ones are where newer ones may fail, and so leave
        what was published before them: uploads that were not cancelled and have their body still,
        down to the last delete. What was published has removed the bodies of all before it, so
        usually there is one.

        Args:
            cabinet: whose document it is.
            listed: what lies under the document.
            above: versions up to this one are decided.
        """
        found = sorted((version for version in listed.records if version > above), reverse=True)
        if len(found) <= _LEAST:
            return found
        bodies: set[str] | None = None
        needed: list[Version] = []
        for version in found:
            record = await self.record(cabinet, listed.document_id, version)
            if record is None:
                continue
            if isinstance(record, DeletionRecord):
                needed.append(version)
                break
            if bodies is None:
                prefix = body_prefix(cabinet.cabinet_id, listed.document_id)
                bodies = set(await self.archive.keys(prefix))
            is_cancelled = any(
                (mark.version, mark.task_id) == (version, record.task_id) for mark in listed.marks
            )
            if not needed or (record.body_key in bodies and not is_cancelled):
                needed.append(version)
            bodies.discard(record.body_key)
            if not bodies:
                break
        return needed[::-1]

    async def event(
        self, cabinet: AuthorisedCabinet, document: DocumentId, version: Version
    ) -> DocumentSubmitted | DocumentDeletionRequested | None:
        """Return the event that a record stands for; None where it cannot be read any more.

        A cancelled upload is an event as any other: the worker sees its mark, and decides that.
        """
        record = await self.record(cabinet, document, version)
        if record is None:
            return None
        if isinstance(record, DeletionRecord):
            return DocumentDeletionRequested.of(record)
        return DocumentSubmitted.of(record)

    async def record(
        self, cabinet: AuthorisedCabinet, document: DocumentId, version: Version
    ) -> Record | None:
        """Read a record; None where it is gone, or not what its key says."""
        key = record_key(cabinet.cabinet_id, document, version)
        try:
            record = read_record(await self.archive.read(key))
        except ObjectMissingError:
            return None  # as of a reconciliation beside this one: newer ones replaced it
        if record is None or (record.cabinet_id, record.document_id, record.version) != (
            cabinet.cabinet_id,
            document,
            version,
        ):
            _log.warning("record_unreadable", key=key)
            self.report.unreadable += 1
            return None
        return record
