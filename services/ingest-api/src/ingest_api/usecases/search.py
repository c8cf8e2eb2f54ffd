"""Search one cabinet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ingest_api.read_ports import DocumentIndex, QueryEmbedder
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.ids import DocumentId
from kartoteka_index import Hit, Scalar, SearchQuery

__all__ = ["Question", "Search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is searched for. Everything that is given must hold."""

    text: str
    top_k: int
    score_threshold: float | None = None
    document_ids: tuple[DocumentId, ...] = ()
    external_ids: tuple[str, ...] = ()
    metadata: Mapping[str, Scalar | Sequence[Scalar]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Answers questions."""

    embedder: QueryEmbedder
    index: DocumentIndex

    async def ask(self, cabinet: AuthorisedCabinet, question: Question) -> list[Hit]:
        """Return the nearest chunks, nearest first.

        Raises:
            UnavailableError: no embedder answers, or the index is away.
        """
        query = SearchQuery(
            vector=await self.embedder.embed_query(question.text),
            top_k=question.top_k,
            score_threshold=question.score_threshold,
            document_ids=question.document_ids,
            external_ids=question.external_ids,
            metadata=question.metadata,
        )
        return await self.index.search(cabinet, query)
