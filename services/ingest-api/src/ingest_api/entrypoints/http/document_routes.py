"""``GET /rag/cabinets/{id}/documents`` and ``GET /rag/documents/{id}``."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, JsonValue

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.entrypoints.http.path_ids import (
    cabinet_in_path,
    document_cursor,
    document_in_path,
)
from ingest_api.entrypoints.http.problems import responses
from ingest_api.entrypoints.http.query_parameters import only
from ingest_api.entrypoints.http.security import AUTH_CODES, require
from ingest_api.entrypoints.http.wording import public_words
from ingest_api.usecases.document import Document
from ingest_api.usecases.read_documents import ReadDocuments
from kartoteka_contracts.tasks import DocumentState, TaskStatus
from kartoteka_index import Published

__all__ = ["DocumentAnswer", "router"]

_EXAMPLE: Final[dict[str, JsonValue]] = {
    "document_id": "5b1f4c1e-6d0a-5c3e-9b57-0a1b2c3d4e5f",
    "cabinet_id": 1,
    "external_id": "contract.pdf",
    "filename": "contract.pdf",
    "state": "indexed",
    "version": 1795000000000000,
    "published": {
        "version": 1795000000000000,
        "chunks": 12,
        "pages": 3,
        "pages_with_text": 3,
        "characters": 8123,
        "media_type": "application/pdf",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "metadata": {"language": "en"},
        "published_at": "2026-01-02T03:04:09Z",
    },
    "open_task": None,
    "error": None,
    "updated_at": "2026-01-02T03:04:09Z",
}
_MAX_LIMIT: Final = 200


class PublishedVersion(BaseModel):
    """What a search finds of a document."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    version: int
    chunks: int
    pages: int | None
    """Where the format has pages."""
    pages_with_text: int | None
    characters: int
    """Of extracted text."""
    media_type: str
    sha256: str
    """Of the uploaded body."""
    metadata: dict[str, Any]
    published_at: datetime


class OpenTask(BaseModel):
    """Work on a newer version that is under way."""

    task_id: str
    status: TaskStatus
    version: int | None


class Fault(BaseModel):
    """Why the newest work on the document failed."""

    code: str
    message: str


class DocumentAnswer(BaseModel):
    """A document."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, json_schema_extra={"examples": [_EXAMPLE]}
    )

    document_id: str
    cabinet_id: int
    external_id: str
    """The caller's name of it."""
    filename: str
    state: DocumentState
    """accepted (nothing decided yet), indexed (searchable), empty (no text), failed or deleted."""
    version: int
    """The newest version that is known."""
    published: PublishedVersion | None
    """What is searchable; an older version stays so while a newer one is made, or failed."""
    open_task: OpenTask | None
    error: Fault | None
    """Of a document whose newest work failed."""
    updated_at: datetime | None
    """When it was last decided about, or its open work last moved."""


class DocumentList(BaseModel):
    """Documents in the order of their ids."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"documents": [_EXAMPLE], "next_cursor": None}]},
    )

    documents: list[DocumentAnswer]
    """May be fewer than asked for though more follow."""
    next_cursor: str | None
    """What to send as ``cursor`` for the next page; null at the end."""


_Reader = Annotated[Principal, Depends(require(Scope.READ))]
_AWAY: Final = ("index_unavailable", "embeddings_unavailable", "view_behind")


def router(documents: ReadDocuments) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/rag", tags=["documents"])

    @routes.get(
        "/documents/{document_id}",
        responses=responses(*AUTH_CODES, "not_found", *_AWAY),
        summary="Read a document",
    )
    async def read_document(document_id: str, principal: _Reader) -> DocumentAnswer:
        """Return what a document is: what is searchable of it, and what is under way."""
        return _answer(await documents.find(principal, document_in_path(document_id)))

    @routes.get(
        "/cabinets/{cabinet_id}/documents",
        responses=responses(*AUTH_CODES, "invalid_request", *_AWAY),
        summary="List a cabinet's documents",
        dependencies=[Depends(only("state", "cursor", "limit"))],
    )
    async def list_documents(
        cabinet_id: str,
        principal: _Reader,
        state: Annotated[DocumentState | None, Query(description="Only in this state.")] = None,
        cursor: Annotated[
            str | None, Query(description="From the page before.", max_length=100)
        ] = None,
        limit: Annotated[int, Query(ge=1, le=_MAX_LIMIT, description="Documents in a page.")] = 50,
    ) -> DocumentList:
        """Return a cabinet's documents in the order of their ids."""
        cabinet = authorise(principal, Scope.READ, cabinet_in_path(cabinet_id))
        page = await documents.page(
            cabinet,
            state=state,
            start=None if cursor is None else document_cursor(cursor),
            limit=limit,
        )
        return DocumentList(
            documents=[_answer(document) for document in page.documents], next_cursor=page.next
        )

    return routes


def _answer(document: Document) -> DocumentAnswer:
    manifest, task = document.manifest, document.open_task
    given_up = None if document.last_task is None else document.last_task.error
    fault = given_up if manifest is None else manifest.error
    moments = (
        None if manifest is None else manifest.decided_at,
        None if document.last_task is None else document.last_task.updated_at,
    )
    return DocumentAnswer(
        document_id=document.document_id,
        cabinet_id=document.cabinet_id,
        external_id=document.external_id,
        filename=document.filename,
        state=document.state,
        version=document.version,
        published=_published(None if manifest is None else manifest.published),
        open_task=(
            None
            if task is None
            else OpenTask(task_id=task.task_id, status=task.status, version=task.version)
        ),
        error=(
            None
            if fault is None
            else Fault(code=fault.code, message=public_words(fault.code, fault.message))
        ),
        updated_at=max((moment for moment in moments if moment is not None), default=None),
    )


def _published(published: Published | None) -> PublishedVersion | None:
    return None if published is None else PublishedVersion.model_validate(published)
