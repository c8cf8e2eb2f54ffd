"""The index: chunks, the manifests that say which of them count, search over both, and runs."""

from typing import Final, Self

from qdrant_client import AsyncQdrantClient

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import DocumentId, Epoch, Version
from kartoteka_index import cabinet_filter, payloads, schema
from kartoteka_index.chunks import Chunks
from kartoteka_index.client import QdrantSettings, connect
from kartoteka_index.failures import attempt
from kartoteka_index.manifests import Manifests
from kartoteka_index.model import ModelIdentity
from kartoteka_index.rounds import Candidate, judge
from kartoteka_index.runs import Runs
from kartoteka_index.search import Hit, SearchQuery

__all__ = ["Index"]

_ROUNDS: Final = 3
_ROUNDS_WHEN_OVERTAKEN: Final = 12
"""Each further one means that a document in question was published anew within a few
milliseconds."""
_SPARE: Final = 20


class Index(Chunks, Manifests, Runs):
    """One model's index.

    Where Qdrant is away or has no such collection, every call raises
    ``UnavailableError("index_unavailable")``. All writes are idempotent and durable on return.
    """

    def __init__(
        self, client: AsyncQdrantClient, settings: QdrantSettings, model: ModelIdentity
    ) -> None:
        super().__init__(client, settings, model)
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

    async def search(self, cabinet: AuthorisedCabinet, query: SearchQuery) -> list[Hit]:
        """Return the nearest published chunks of the cabinet, nearest first.

        Of a document that is published anew meanwhile, the answer has the old version or the new
        one, never both.
        """
        without: frozenset[tuple[DocumentId, Version, Epoch]] = frozenset()
        for number in range(1, _ROUNDS_WHEN_OVERTAKEN + 1):
            candidates = await self._nearest(cabinet, query, without)
            asked = {work[0] for work in without}
            asked |= {candidate.work[0] for candidate in candidates}
            manifests = await self.manifests(cabinet, asked)
            verdict = judge(candidates, manifests, top_k=query.top_k, without=without)
            self.unpublished_hits += verdict.dropped
            if not verdict.overtaken and (not verdict.again or number >= _ROUNDS):
                break
            without = verdict.unpublished
        return verdict.hits

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
        found = [
            Candidate(hit=payloads.hit(payload, scores[point_id]), work=payloads.work(payload))
            for point_id, payload in self._own(cabinet, answer.points)
        ]
        # Equally near ones come in the order of their writes: another one in an index made anew.
        return sorted(found, key=_place)


def _place(candidate: Candidate) -> tuple[float, DocumentId, int]:
    hit = candidate.hit
    return (-hit.score, hit.document_id, hit.start)
