"""Chunks that nothing publishes and nothing will."""

from collections.abc import Mapping

from embedder.usecases.reconcile_pass import Pass
from embedder.usecases.reconcile_report import Left, Seen
from embedder.usecases.reconcile_rules import is_decided, is_published
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.ids import DocumentId
from kartoteka_contracts.keys import record_key
from kartoteka_index.manifest import Manifest
from kartoteka_index.upkeep import Work

__all__ = ["SweepChunks"]


class SweepChunks(Pass):
    """The pass over the chunks of a cabinet."""

    async def run(self, cabinet: AuthorisedCabinet) -> None:
        """Delete chunks of every work that is overtaken, or that nobody can complete.

        A work that was asked for less than an hour ago is left alone, whatever stands about it.
        """
        before = int((self.clock.now() - self.ages.orphan).timestamp() * 1_000_000)
        judged: set[Work] = set()
        async for page in self.index.works(cabinet, before=before):
            self.report.seen[Seen.CHUNKS] += sum(page.values())
            # Manifests are read after the chunks: what is published by then is kept.
            manifests = await self._manifests(cabinet, page)
            orphans = [
                work
                for work in page.keys() - judged
                if not is_published(work, manifests.get(work[0]))
            ]
            judged.update(orphans)
            overtaken = [work for work in orphans if is_decided(work, manifests.get(work[0]))]
            for work in (*overtaken, *await self._abandoned(cabinet, orphans, overtaken)):
                await self.mender.discard(cabinet, work)
            self.tell()

    async def _manifests(
        self, cabinet: AuthorisedCabinet, works: Mapping[Work, int] | list[Work]
    ) -> dict[DocumentId, Manifest]:
        return await self.index.manifests(cabinet, {work[0] for work in works})

    async def _abandoned(
        self, cabinet: AuthorisedCabinet, orphans: list[Work], overtaken: list[Work]
    ) -> list[Work]:
        """Return those undecided works that neither an event nor a record will complete.

        Its age says nothing of a work that has waited for long and runs now. Its event does: it
        is not acknowledged before the work is decided. So: chunks, then topics, then manifests.
        """
        undecided = sorted(set(orphans) - set(overtaken))
        if not undecided:
            return []
        whole = f"{cabinet.cabinet_id}/*"
        keys = {work: f"{cabinet.cabinet_id}/{work[0]}" for work in undecided}
        waiting = await self.backlog.waiting({whole, *keys.values()})
        manifests = await self._manifests(cabinet, undecided)
        abandoned = []
        for work in undecided:
            manifest = manifests.get(work[0])
            if waiting & {whole, keys[work]}:
                self.report.left[Left.WAITING] += 1
            elif is_published(work, manifest):
                continue
            elif not is_decided(work, manifest) and await self._has_record(cabinet, work):
                self.report.left[Left.UNDECIDED] += 1
            else:
                abandoned.append(work)
        return abandoned

    async def _has_record(self, cabinet: AuthorisedCabinet, work: Work) -> bool:
        """Whether the work may be sent again, so that what it has written so far is its own."""
        document, version, epoch = work
        return epoch == 0 and await self.archive.exists(
            record_key(cabinet.cabinet_id, document, version)
        )
