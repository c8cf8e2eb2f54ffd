"""Bodies that no record names, or that only obsolete records name; and tombstones."""

from typing import Final

from embedder.usecases.reconcile_listing import BATCH, batched, bodies
from embedder.usecases.reconcile_pass import Pass
from embedder.usecases.reconcile_report import Left, Mend, Seen
from embedder.usecases.reconcile_rules import lowest_needed
from embedder.usecases.reconcile_settings import newest_settings
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.ids import DocumentId, Version
from kartoteka_contracts.keys import (
    body_key,
    body_prefix,
    record_key,
    record_prefix,
    record_version,
)
from kartoteka_contracts.records import DeletionRecord, DocumentRecord, read_record
from kartoteka_contracts.tasks import DocumentState
from kartoteka_index.manifest import Manifest
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.objects import ObjectMissingError

__all__ = ["ReconcileBodies"]

_log = get_logger(__name__)

_NOBODY: Final = Version(0)


class ReconcileBodies(Pass):
    """The pass over the bodies of a cabinet, and over its deleted documents."""

    async def run(self, cabinet: AuthorisedCabinet) -> None:
        """Remove what nothing can ask for any more."""
        limit = self.clock.now() - self.ages.body
        async for batch in batched(bodies(self.archive, cabinet.cabinet_id), BATCH):
            self.report.seen[Seen.BODIES] += sum(len(found) for _, found in batch)
            manifests = await self.index.manifests(cabinet, [document for document, _ in batch])
            for document, found in batch:
                manifest = manifests.get(document)
                doubtful = {one.key for one in found if one.modified < limit}
                doubtful -= {_kept(cabinet, document, manifest)}
                if doubtful:
                    await self._judge(cabinet, document, manifest, doubtful)
            self.tell()
        await self._tombstones(cabinet)

    async def _judge(
        self,
        cabinet: AuthorisedCabinet,
        document: DocumentId,
        manifest: Manifest | None,
        found: set[str],
    ) -> None:
        named: dict[str, Version] = {}
        for key in await self.archive.keys(record_prefix(cabinet.cabinet_id, document)):
            version = record_version(key)
            if version is None:
                continue
            try:
                record = read_record(await self.archive.read(key))
            except ObjectMissingError:
                continue  # as of a reconciliation beside this one
            if record is None:
                _log.warning("record_unreadable", key=key)
                self.report.left[Left.UNREADABLE] += 1
                return
            if isinstance(record, DocumentRecord):
                named[record.body_key] = max(version, named.get(record.body_key, _NOBODY))
        needed = lowest_needed(manifest)
        unnamed = sorted(found - named.keys())
        obsolete = sorted(key for key in found & named.keys() if named[key] < needed)
        await self.mender.remove(Mend.BODIES_WITHOUT_RECORD, unnamed)
        await self.mender.remove(Mend.OBSOLETE_BODIES, obsolete)

    async def _tombstones(self, cabinet: AuthorisedCabinet) -> None:
        limit = self.clock.now() - self.ages.record
        sources = await self._sources(cabinet)
        cursor: str | None = None
        while True:
            page = await self.index.documents(
                cabinet, state=DocumentState.DELETED, cursor=cursor, limit=BATCH
            )
            for manifest in page.manifests:
                if manifest.decided_at is not None and manifest.decided_at < limit:
                    await self._forget(cabinet, manifest, sources)
            cursor = page.cursor
            if cursor is None:
                return

    async def _sources(self, cabinet: AuthorisedCabinet) -> tuple[str, ...]:
        """Return what the names of documents begin with that runs copy into the cabinet."""
        stored = await newest_settings(self.archive, cabinet.cabinet_id)
        if stored.is_unreadable:
            return ("",)  # they may name any source
        settings = None if stored.event is None else stored.event.settings
        return () if settings is None else tuple(f"{one.name}://" for one in settings.sources)

    async def _forget(
        self, cabinet: AuthorisedCabinet, deleted: Manifest, sources: tuple[str, ...]
    ) -> None:
        document = deleted.document_id
        listed = await self.archive.keys(record_prefix(cabinet.cabinet_id, document))
        if any((record_version(key) or _NOBODY) > deleted.fence for key in listed):
            return  # uploaded again
        if await self.archive.keys(body_prefix(cabinet.cabinet_id, document)):
            return  # they go first, while it is known whose they were
        if deleted.external_id.startswith(sources) and not await self._is_vanished(deleted):
            return  # its object may still lie there: without this it would be taken for new
        await self.mender.forget(cabinet, deleted, listed)

    async def _is_vanished(self, deleted: Manifest) -> bool:
        """Whether a run deleted the document since its object was gone, and nobody else."""
        key = record_key(deleted.cabinet_id, deleted.document_id, deleted.fence)
        try:
            record = read_record(await self.archive.read(key))
        except ObjectMissingError:
            return False
        return isinstance(record, DeletionRecord) and record.is_vanished


def _kept(cabinet: AuthorisedCabinet, document: DocumentId, manifest: Manifest | None) -> str:
    """Return the body of the task that has decided last: its record need not be read."""
    if manifest is None or manifest.task_id is None or manifest.outcome is None:
        return ""
    return body_key(cabinet.cabinet_id, document, manifest.task_id)
