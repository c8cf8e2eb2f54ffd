"""``POST /rag/search``."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    field_validator,
)

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.entrypoints.http.problems import responses
from ingest_api.entrypoints.http.query_parameters import only
from ingest_api.entrypoints.http.security import AUTH_CODES, require
from ingest_api.entrypoints.http.trace import about
from ingest_api.usecases.search import Question, Search
from kartoteka_contracts.ids import (
    MAX_EXACT_INTEGER,
    CabinetId,
    DocumentId,
    normalised_external_id,
)
from kartoteka_index import Hit

__all__ = ["SearchAnswer", "SearchRequest", "router"]

_MAX_QUERY_BYTES: Final = 8 * 1024
_MAX_VALUES: Final = 100
_UUID: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true is no cabinet")  # noqa: TRY004 - what pydantic turns into a 422
    return value


def _is_whole(text: str) -> bool:
    """Whether no half of a surrogate pair is in it: JSON can spell one, UTF-8 cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


_Cabinet = Annotated[int, BeforeValidator(_no_boolean), Field(gt=0, le=MAX_EXACT_INTEGER)]
"""Without the check, ``true`` would be cabinet 1."""
_Document = Annotated[str, StringConstraints(pattern=_UUID, to_lower=True)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
_Scalar = str | int | float | bool | None


class _Strict(BaseModel):
    # A misspelt field must not be a filter that silently does nothing.
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class SearchFilter(_Strict):
    """What hits must be from. Everything that is given must hold."""

    document_id: _Document | None = None
    """From this document."""
    document_ids: list[_Document] = Field(default=[], max_length=_MAX_VALUES)
    """From any of these documents."""
    external_id: _Name | None = None
    """From the document of this name."""
    external_ids: list[_Name] = Field(default=[], max_length=_MAX_VALUES)
    """From a document of any of these names."""
    metadata: dict[_Name, _Scalar | Annotated[list[_Scalar], Field(max_length=_MAX_VALUES)]] = (
        Field(default={}, max_length=32)
    )
    """Key to the value that it must equal, or to values of which it must equal any."""

    @field_validator("metadata")
    @classmethod
    def _can_be_looked_up(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        for value in metadata.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str) and not _is_whole(one):
                    raise ValueError("a string has half of a surrogate pair")
        return metadata

    @property
    def documents(self) -> tuple[DocumentId, ...]:
        """All named documents."""
        one = [] if self.document_id is None else [self.document_id]
        return tuple(DocumentId(each) for each in (*one, *self.document_ids))

    @property
    def names(self) -> tuple[str, ...]:
        """All names of documents, as they are stored."""
        one = [] if self.external_id is None else [self.external_id]
        return tuple(normalised_external_id(each) for each in (*one, *self.external_ids))


class SearchRequest(_Strict):
    """A search within one cabinet."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cabinet_id": 1,
                    "query": "When can the contract be terminated?",
                    "top_k": 5,
                    "filter": {"metadata": {"language": "en"}},
                }
            ]
        }
    )

    cabinet_id: _Cabinet
    query: str
    """At most 8 KB of text."""
    top_k: int = Field(default=10, ge=1, le=100)
    """Hits at most."""
    score_threshold: float | None = Field(default=None, ge=-1, le=1)
    """Hits of a lower score are left out."""
    filter: SearchFilter = SearchFilter()

    @field_validator("query")
    @classmethod
    def _asks_something(cls, query: str) -> str:
        if not query.strip():
            raise ValueError("must not be blank")
        if not _is_whole(query):
            raise ValueError("has half of a surrogate pair")
        if len(query.encode()) > _MAX_QUERY_BYTES:
            raise ValueError(f"must have at most {_MAX_QUERY_BYTES} bytes")
        return query


_EXAMPLE_HIT: Final[dict[str, JsonValue]] = {
    "text": "The contract may be terminated with three months' notice.",
    "score": 0.83,
    "document_id": "5b1f4c1e-6d0a-5c3e-9b57-0a1b2c3d4e5f",
    "external_id": "contract.pdf",
    "filename": "contract.pdf",
    "version": 1795000000000000,
    "page": 2,
    "start": 3120,
    "end": 3178,
    "metadata": {"language": "en"},
}


class SearchHit(BaseModel):
    """A piece of a document. Its text is what somebody uploaded: data, not instructions."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    text: str
    score: float
    """Cosine, -1 to 1; higher is nearer."""
    document_id: str
    external_id: str
    filename: str
    version: int
    page: int | None
    """From 1, where the format has pages."""
    start: int
    """Where the text begins in the document's extracted text, in characters."""
    end: int
    """Where it ends."""
    metadata: dict[str, Any]


class SearchAnswer(BaseModel):
    """Hits, nearest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"hits": [_EXAMPLE_HIT]}]})

    hits: list[SearchHit]


_Searcher = Annotated[Principal, Depends(require(Scope.SEARCH))]


def router(search: Search) -> APIRouter:
    """Return the route."""
    routes = APIRouter(prefix="/rag", tags=["search"])

    @routes.post(
        "/search",
        responses=responses(
            *AUTH_CODES,
            "invalid_request",
            "body_too_large",
            "embeddings_unavailable",
            "index_unavailable",
        ),
        summary="Search a cabinet",
        dependencies=[Depends(only())],
    )
    async def search_cabinet(
        request: Request, body: SearchRequest, principal: _Searcher
    ) -> SearchAnswer:
        """Return the nearest pieces of the cabinet's documents, nearest first.

        A document that is indexed anew meanwhile answers with its old version or its new one,
        never with both.
        """
        about(request, cabinet_id=body.cabinet_id)
        cabinet = authorise(principal, Scope.SEARCH, CabinetId(body.cabinet_id))
        hits = await search.ask(
            cabinet,
            Question(
                text=body.query,
                top_k=body.top_k,
                score_threshold=body.score_threshold,
                document_ids=body.filter.documents,
                external_ids=body.filter.names,
                metadata=body.filter.metadata,
            ),
        )
        return SearchAnswer(hits=[_hit(hit) for hit in hits])

    return routes


def _hit(hit: Hit) -> SearchHit:
    return SearchHit.model_validate(hit)
