"""The index: chunks, the manifests that say which of them count, and search over both."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Self
from uuid import UUID

import numpy as np
from qdrant_client import AsyncQdrantClient, models

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import RequestError, UnavailableError
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, Version, point_id
from kartoteka_contracts.tasks import DocumentState
from kartoteka_index import cabinet_filter, payloads, schema
from kartoteka_index.batches import batches
from kartoteka_index.client import QdrantSettings, connect
from kartoteka_index.failures import attempt
from kartoteka_index.manifest import Decision, Manifest, ManifestPage
from kartoteka_index.model import ModelIdentity
from kartoteka_index.points import ChunkPoint
from kartoteka_index.rounds import Candidate, judge
from kartoteka_index.search import Hit, SearchQuery
from kartoteka_runtime.logs import get_logger

__all__ = ["Index"]

_log = get_logger(__name__)

_ROUNDS: Final = 3
_SPARE: Final = 20
_LARGEST_BATCH: Final = 256
"""Points that one write may have left behind in part, whatever its sender's settings were."""


class Index:
    """One model's index.

    Where Qdrant is away or has no such collection, every call raises
    ``UnavailableError("index_unavailable")``. All writes are idempotent and durable on return.
    """

    def __init__(
        self, client: AsyncQdrantClient, settings: QdrantSettings, model: ModelIdentity
    ) -> None:
        self._client = client
        self._settings = settings
        self._model = model
        self._plans = schema.plans(settings.collection, model)
        self._chunks, self._documents = (plan.name for plan in self._plans)
        self.foreign_hits = 0
        """Points that came back for another cabinet than asked, and were dropped: must stay 0."""
        self.unpublished_hits = 0
        """Candidates of searches that no manifest publishes (half-written or overtaken)."""

    @classmethod
    def open(cls, settings: QdrantSettings, model: ModelIdentity) -> Self:
        """Return the index; nothing is connected yet."""
        return cls(connect(settings), settings, model)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ensure(self) -> None:
        """Create collections and payload indexes where they are missing.

        Raises:
            IndexMismatchError: a collection is there, for another model.
            KartotekaError: ``index_too_old``.
        """
        await schema.require_server(self._client)
        for plan in self._plans:
            await schema.ensure(self._client, plan, self._settings)

    async def ping(self) -> None:
        """Return when both collections answer."""
        if not await schema.exist(self._client, self._chunks, self._documents):
            raise UnavailableError("index_unavailable", f"Qdrant has no collection {self._chunks}")

    async def upsert(self, cabinet: AuthorisedCabinet, points: Sequence[ChunkPoint]) -> None:
        """Write chunks; they are durable on return and not searchable until published.

        Raises:
            ValueError: a vector is not of the model's dimension, or not finite.
        """
        for point in points:
            if (
                point.vector.shape != (self._model.dimension,)
                or not np.isfinite(point.vector).all()
            ):
                raise ValueError(f"the vector of chunk {point.n} is none of {self._model.name}")
        stored = (payloads.chunk(cabinet.cabinet_id, point) for point in points)
        limits = self._settings
        for batch in batches(stored, count=limits.upsert_batch, size=limits.upsert_bytes):
            await attempt("upsert", partial(self._write, batch))

    async def count(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> int:
        """Return exactly how many chunks of this work are stored."""
        chunks = cabinet_filter.chunks_of(cabinet, document_id, version, epoch)
        found = await attempt(
            "count", lambda: self._client.count(self._chunks, count_filter=chunks, exact=True)
        )
        return found.count

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
            manifest = payloads.manifest(record.payload or {})
            cabinet = permit(manifest.cabinet_id)
            if cabinet is not None and cabinet_filter.belongs(cabinet, record.payload):
                return manifest
        return None

    async def decide(self, cabinet: AuthorisedCabinet, decision: Decision) -> Manifest | None:
        """Write a decision unless a higher or other one stands, and read back what stands.

        Returns:
            What stands, where this task decided it (by this call or by an earlier delivery of the
            same work: then its outcome may be another); None where the work is superseded.

        Raises:
            UnavailableError: also where lower work is read back than was written: the replicas
                that answered do not have the write yet, and to take that for superseded would
                throw away what was just published.
        """
        await attempt("open manifest", lambda: self._insert(cabinet, decision))
        await attempt("decide", lambda: self._raise_fence(cabinet, decision))
        records = await self._retrieve([decision.document_id])
        stands = next(iter(_manifests(cabinet, records)), None)
        if stands is None and records:
            return None  # another cabinet's
        asked = (decision.version, decision.epoch)
        if stands is None or (stands.fence, stands.epoch) < asked:
            raise UnavailableError("index_unavailable", "Qdrant answers with an older manifest")
        mine = (*asked, decision.task_id)
        return stands if (stands.fence, stands.epoch, stands.task_id) == mine else None

    async def sweep(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> None:
        """Delete the document's chunks strictly below (version, epoch)."""
        await self._delete(cabinet_filter.chunks_below(cabinet, document_id, version, epoch))

    async def discard(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> None:
        """Delete the chunks of exactly this work."""
        await self._delete(cabinet_filter.chunks_of(cabinet, document_id, version, epoch))

    async def trim(
        self,
        cabinet: AuthorisedCabinet,
        document_id: DocumentId,
        version: Version,
        epoch: Epoch,
        *,
        chunks: int,
        stored: int,
    ) -> None:
        """Delete the chunks of exactly this work that lie behind its first ``chunks``.

        An earlier try at it, read by another parser or cut by another release, may have made more:
        ``stored`` of them. The chunks that are to stay are not touched, so another try that
        publishes them meanwhile loses nothing.
        """
        ids = [
            point_id(cabinet.cabinet_id, document_id, version, epoch, n)
            for n in range(chunks, stored + _LARGEST_BATCH)
        ]
        await self._delete(cabinet_filter.chunks_named(cabinet, ids))

    async def search(self, cabinet: AuthorisedCabinet, query: SearchQuery) -> list[Hit]:
        """Return the nearest published chunks of the cabinet, nearest first.

        Of a document that is published anew meanwhile, the answer has the old version or the new
        one, never both.
        """
        without: frozenset[tuple[DocumentId, Version, Epoch]] = frozenset()
        for number in range(1, _ROUNDS + 1):
            candidates = await self._nearest(cabinet, query, without)
            asked = {work[0] for work in without}
            asked |= {candidate.work[0] for candidate in candidates}
            manifests = await self.manifests(cabinet, asked)
            verdict = judge(candidates, manifests, top_k=query.top_k, without=without)
            self.unpublished_hits += verdict.dropped
            if not verdict.again or number == _ROUNDS:
                break
            without = verdict.unpublished
        return verdict.hits

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

    async def _write(self, batch: list[models.PointStruct]) -> None:
        await self._client.upsert(
            self._chunks, batch, wait=True, ordering=models.WriteOrdering.MEDIUM
        )

    async def _insert(self, cabinet: AuthorisedCabinet, decision: Decision) -> None:
        await self._client.upsert(
            self._documents,
            [payloads.nothing_decided(cabinet.cabinet_id, decision)],
            wait=True,
            ordering=models.WriteOrdering.STRONG,
            # A point that is there is replaced only where it matches, and none does.
            update_filter=cabinet_filter.NOTHING,
        )

    async def _raise_fence(self, cabinet: AuthorisedCabinet, decision: Decision) -> None:
        await self._client.set_payload(
            self._documents,
            payloads.decided(decision),
            points=cabinet_filter.undecided(
                cabinet, decision.document_id, decision.version, decision.epoch
            ),
            wait=True,
            ordering=models.WriteOrdering.STRONG,
        )

    async def _delete(self, chunks: models.Filter) -> None:
        await attempt(
            "delete",
            lambda: self._client.delete(
                self._chunks,
                models.FilterSelector(filter=chunks),
                wait=True,
                ordering=models.WriteOrdering.MEDIUM,
            ),
        )

    async def _nearest(
        self,
        cabinet: AuthorisedCabinet,
        query: SearchQuery,
        without: frozenset[tuple[DocumentId, Version, Epoch]],
    ) -> list[Candidate]:
        wanted = cabinet_filter.searched(cabinet, query, without=sorted(without))
        answer = await attempt(
            "search",
            lambda: self._client.query_points(
                self._chunks,
                query=[float(number) for number in query.vector],
                query_filter=wanted,
                limit=2 * query.top_k + _SPARE,
                score_threshold=query.score_threshold,
                with_payload=True,
                with_vectors=False,
            ),
        )
        scores = {point.id: point.score for point in answer.points}
        return [
            Candidate(hit=payloads.hit(payload, scores[point_id]), work=payloads.work(payload))
            for point_id, payload in self._own(cabinet, answer.points)
        ]

    def _own(
        self, cabinet: AuthorisedCabinet, found: Iterable[models.ScoredPoint | models.Record]
    ) -> Iterator[tuple[models.ExtendedPointId, dict[str, Any]]]:
        """Leave out points that the filter must have kept back; count and report them."""
        for point in found:
            if point.payload is not None and cabinet_filter.belongs(cabinet, point.payload):
                yield point.id, point.payload
                continue
            self.foreign_hits += 1
            _log.error("foreign_point_dropped", cabinet_id=cabinet.cabinet_id, point_id=point.id)


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
