"""The manifests of documents: read, and changed by conditional writes only."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

from qdrant_client import models

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import RequestError, UnavailableError
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, Version
from kartoteka_contracts.tasks import DocumentState
from kartoteka_index import cabinet_filter, payloads
from kartoteka_index.connection import Connection
from kartoteka_index.failures import attempt
from kartoteka_index.manifest import Decision, Manifest, ManifestPage, Starts

__all__ = ["Manifests"]


class Manifests(Connection):
    """The part of an index that says which chunks count."""

    async def manifest(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId
    ) -> Manifest | None:
        """Return what stands about a document; None also where it is another cabinet's."""
        return (await self.manifests(cabinet, [document_id])).get(document_id)

    async def manifests(
        self, cabinet: AuthorisedCabinet, document_ids: Iterable[DocumentId]
    ) -> dict[DocumentId, Manifest]:
        """Return what stands about documents, in one call; absent and foreign ones are left out."""
        ids: list[models.ExtendedPointId] = sorted(set(document_ids))
        if not ids:
            return {}
        found = _manifests(cabinet, await self._retrieve(ids))
        return {manifest.document_id: manifest for manifest in found}

    async def locate(
        self,
        document_id: DocumentId,
        permit: Callable[[CabinetId], AuthorisedCabinet | None],
    ) -> Manifest | None:
        """Return what stands about a document whose cabinet the caller cannot name.

        ``permit`` is the access check: it is asked about the document's cabinet before anything
        is returned, and its None is answered as for an unknown id.
        """
        records = await self._retrieve([document_id])
        for record in records:
            if not cabinet_filter.is_document(record.payload):
                continue
            manifest = payloads.manifest(record.payload or {})
            cabinet = permit(manifest.cabinet_id)
            if cabinet is not None and cabinet_filter.belongs(cabinet, record.payload):
                return manifest
        return None

    async def decide(
        self, cabinet: AuthorisedCabinet, decision: Decision, *, is_open: bool = False
    ) -> Manifest | None:
        """Write a decision unless a higher or other one stands, and read back what stands.

        Args:
            cabinet: the granted one.
            decision: what to write.
            is_open: the caller knows that the document has a manifest, so none is inserted first.

        Returns:
            What stands, where this task decided it (by this call or by an earlier delivery of the
            same work: then its outcome may be another); None where the work is superseded.

        Raises:
            UnavailableError: also where lower work is read back than was written. Either another
                thing is published than the decision rests on, and the work is to be judged anew,
                or the replicas that answered do not have the write yet, and to take that for
                superseded would throw away what was just published.
        """
        if not is_open:
            opened = payloads.nothing_decided(
                cabinet.cabinet_id, decision.document_id, decision.external_id
            )
            await attempt("open manifest", lambda: self._insert(opened))
        open_to = cabinet_filter.undecided(
            cabinet,
            decision.document_id,
            decision.version,
            decision.epoch,
            only_while=decision.only_while,
        )
        await self._set("decide", payloads.decided(decision), open_to)
        records = await self._retrieve([decision.document_id])
        stands = next(iter(_manifests(cabinet, records)), None)
        if stands is None and records:
            return None  # another cabinet's
        asked = (decision.version, decision.epoch)
        if stands is None or (stands.fence, stands.epoch) < asked:
            raise UnavailableError("index_unavailable", "Qdrant answers with an older manifest")
        mine = (*asked, decision.task_id)
        return stands if (stands.fence, stands.epoch, stands.task_id) == mine else None

    async def begin(
        self,
        cabinet: AuthorisedCabinet,
        document_id: DocumentId,
        external_id: str,
        work: tuple[Version, Epoch],
        *,
        seen: Manifest | None,
    ) -> Starts:
        """Count one more try at a work, before it begins. Afterwards the document has a manifest.

        Nothing is counted where higher work is begun or decided: the try loses anyway.

        Args:
            cabinet: the granted one.
            document_id: of which.
            external_id: the caller's name of it.
            work: version and epoch.
            seen: the manifest as the try has read it.
        """
        earlier = None if seen is None else seen.starts
        if earlier is None or (earlier.version, earlier.epoch) != work:
            earlier = Starts(version=work[0], epoch=work[1])
        starts = replace(earlier, begun=earlier.begun + 1)
        if seen is None:
            opened = payloads.nothing_decided(cabinet.cabinet_id, document_id, external_id, starts)
            await attempt("open manifest", lambda: self._insert(opened))
        else:
            startable = cabinet_filter.startable(cabinet, document_id, *work)
            await self._set("count a start", payloads.begun(starts), startable)
        return starts

    async def lower(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, starts: Starts
    ) -> None:
        """Take back one try, unless more were counted since."""
        lowered = replace(starts, begun=starts.begun - 1)
        counted = cabinet_filter.started(cabinet, document_id, starts)
        await self._set("take back a start", payloads.begun(lowered), counted)

    async def count_kill(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, starts: Starts
    ) -> Starts:
        """Count a try whose parser was killed or died; return what is counted now."""
        more = replace(starts, killed=starts.killed + 1)
        startable = cabinet_filter.startable(cabinet, document_id, more.version, more.epoch)
        await self._set("count a kill", payloads.begun(more), startable)
        return more

    async def withdraw(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, *, up_to: Version
    ) -> Manifest | None:
        """Publish nothing of a document that only versions up to this one have asked for.

        The fence stays: this is for a delete that newer work, which kept what was published, has
        overtaken.

        Returns:
            What stands.
        """
        affirmed = cabinet_filter.affirmed_up_to(cabinet, document_id, up_to)
        await self._set("withdraw", payloads.WITHDRAWN, affirmed)
        return await self.manifest(cabinet, document_id)

    async def documents(
        self,
        cabinet: AuthorisedCabinet,
        *,
        state: DocumentState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ManifestPage:
        """Return a page of the cabinet's manifests, in the order of their ids.

        Raises:
            RequestError: ``invalid_request``, where the cursor is none of ours.
        """
        wanted = cabinet_filter.documents_of(cabinet, state)
        offset = None if cursor is None else _cursor(cursor)
        records, following = await attempt(
            "list documents",
            lambda: self._client.scroll(
                self._documents,
                scroll_filter=wanted,
                limit=limit,
                offset=offset,
                with_payload=True,
                with_vectors=False,
            ),
        )
        return ManifestPage(
            manifests=tuple(payloads.manifest(found) for _, found in self._own(cabinet, records)),
            cursor=None if following is None else str(following),
        )

    async def _retrieve(self, ids: list[models.ExtendedPointId]) -> list[models.Record]:
        return await attempt(
            "read manifests",
            lambda: self._client.retrieve(
                self._documents,
                ids,
                with_payload=True,
                with_vectors=False,
                consistency=models.ReadConsistencyType.MAJORITY,
            ),
        )

    async def _insert(self, opened: models.PointStruct) -> None:
        await self._client.upsert(
            self._documents,
            [opened],
            wait=True,
            ordering=models.WriteOrdering.STRONG,
            # A point that is there is replaced only where it matches, and none does.
            update_filter=cabinet_filter.NOTHING,
        )

    async def _set(self, operation: str, payload: dict[str, Any], where: models.Filter) -> None:
        await attempt(
            operation,
            lambda: self._client.set_payload(
                self._documents,
                payload,
                points=where,
                wait=True,
                ordering=models.WriteOrdering.STRONG,
            ),
        )


def _manifests(cabinet: AuthorisedCabinet, records: Iterable[models.Record]) -> Iterator[Manifest]:
    """Give the cabinet's manifests; another cabinet's id is answered as an unknown one."""
    for record in records:
        if record.payload is not None and cabinet_filter.belongs(cabinet, record.payload):
            yield payloads.manifest(record.payload)


def _cursor(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise RequestError("invalid_request", "the cursor is none that was given") from error
