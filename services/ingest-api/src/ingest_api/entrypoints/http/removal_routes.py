"""``DELETE`` of a document, a cabinet and a task: a delete is work, a cancellation ends work."""

from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.entrypoints.http.path_ids import cabinet_in_path, document_in_path, task_in_path
from ingest_api.entrypoints.http.problems import responses
from ingest_api.entrypoints.http.query_parameters import only
from ingest_api.entrypoints.http.security import AUTH_CODES, require
from ingest_api.entrypoints.http.trace import about, traceparent_of
from ingest_api.usecases.cancel import CANCELLING, Cancel
from ingest_api.usecases.delete import Delete
from kartoteka_contracts.errors import RequestError

__all__ = ["router"]

_TASK: Final = "0198f2c4-b7a9-7d0e-8f5c-2a1b3d4e5f60"


class DocumentDeletion(BaseModel):
    """A document that will be deleted."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "status": "queued",
                    "task_id": _TASK,
                    "document_id": "5b1f4c1e-6d0a-5c3e-9b57-0a1b2c3d4e5f",
                    "version": 1795000000000001,
                    "replaces": 1795000000000000,
                }
            ]
        },
    )

    status: Literal["queued"] = "queued"
    task_id: str
    """Follow it at ``GET /rag/task/{task_id}``; its ``result.deleted`` says what was removed."""
    document_id: str
    version: int
    """All versions up to this one are deleted; an upload from now on has a higher one."""
    replaces: int | None
    """The newest version that is deleted."""


class CabinetDeletion(BaseModel):
    """A cabinet whose documents will be deleted."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "status": "queued",
                    "task_id": _TASK,
                    "cabinet_id": 1,
                    "version": 1795000000000001,
                }
            ]
        },
    )

    status: Literal["queued"] = "queued"
    task_id: str
    """Follow it at ``GET /rag/task/{task_id}``; its ``result.deleted`` says what was removed."""
    cabinet_id: int
    version: int
    """Everything up to this version is deleted; an upload from now on has a higher one."""


class Cancellation(BaseModel):
    """A task that is asked to end."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"status": "cancelling", "task_id": _TASK}]},
    )

    status: Literal["cancelling"] = "cancelling"
    task_id: str
    """Follow it at ``GET /rag/task/{task_id}``."""


_Deleter = Annotated[Principal, Depends(require(Scope.DELETE))]
_Canceller = Annotated[Principal, Depends(require(*CANCELLING))]
_AWAY: Final = ("event_log_unavailable", "object_store_unavailable")


def router(delete: Delete, cancel: Cancel) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/rag")

    @routes.delete(
        "/documents/{document_id}",
        tags=["documents"],
        status_code=HTTPStatus.ACCEPTED,
        responses=responses(
            *AUTH_CODES,
            "not_found",
            "invalid_request",
            *_AWAY,
            "index_unavailable",
            "embeddings_unavailable",
            "view_behind",
        ),
        summary="Delete a document",
        dependencies=[Depends(only("cabinet_id"))],
    )
    async def delete_document(
        request: Request,
        response: Response,
        document_id: str,
        principal: _Deleter,
        cabinet_id: Annotated[
            str | None,
            Query(
                description="The document's cabinet. With it the answer needs neither the index "
                "nor the view of tasks.",
                examples=["1"],
            ),
        ] = None,
    ) -> DocumentDeletion:
        """Delete all versions of a document: chunks, bodies, text, and what the view has of it.

        The delete is a task of its own, and a document that is deleted already may be deleted
        again. Tasks of the deleted versions are no longer found once it has succeeded.
        """
        record = await delete.document(
            principal,
            document_in_path(document_id),
            cabinet_id=None if cabinet_id is None else cabinet_in_path(cabinet_id),
            traceparent=traceparent_of(request),
        )
        about(request, task_id=record.task_id, cabinet_id=record.cabinet_id)
        response.headers["Location"] = f"/rag/task/{record.task_id}"
        return DocumentDeletion(
            task_id=record.task_id,
            document_id=record.document_id,
            version=record.version,
            replaces=record.replaces,
        )

    @routes.delete(
        "/cabinets/{cabinet_id}",
        tags=["cabinets"],
        status_code=HTTPStatus.ACCEPTED,
        responses=responses(*AUTH_CODES, "invalid_request", *_AWAY),
        summary="Delete a cabinet's documents",
        dependencies=[Depends(only("confirm"))],
    )
    async def delete_cabinet(
        request: Request,
        response: Response,
        cabinet_id: str,
        principal: _Deleter,
        confirm: Annotated[
            str,
            Query(description="Required: the cabinet's id once more.", examples=["1"]),
        ] = "",
    ) -> CabinetDeletion:
        """Delete every document of a cabinet, one task for them all.

        What is uploaded after this call stays. A cabinet that was configured loses its sources and
        is no longer enabled, so that no run brings documents back.
        """
        cabinet = authorise(principal, Scope.DELETE, cabinet_in_path(cabinet_id))
        if confirm != str(cabinet.cabinet_id):
            raise RequestError(
                "invalid_request",
                f"this deletes every document of cabinet {cabinet.cabinet_id}; "
                f"if that is meant, add ?confirm={cabinet.cabinet_id}",
            )
        event = await delete.cabinet(cabinet, traceparent=traceparent_of(request))
        about(request, task_id=event.task_id)
        response.headers["Location"] = f"/rag/task/{event.task_id}"
        return CabinetDeletion(
            task_id=event.task_id, cabinet_id=event.cabinet_id, version=event.version
        )

    @routes.delete(
        "/task/{task_id}",
        tags=["tasks"],
        status_code=HTTPStatus.ACCEPTED,
        responses=responses(
            *AUTH_CODES, "not_found", "task_ended", "not_cancellable", *_AWAY, "view_behind"
        ),
        summary="Cancel a task",
        dependencies=[Depends(only())],
    )
    async def cancel_task(
        request: Request, response: Response, task_id: str, principal: _Canceller
    ) -> Cancellation:
        """End the indexing of a document, also while it waits for its turn or for a retry.

        The task ends as `cancelled`, unless it ends otherwise before the worker hears of it. What
        was searchable of the document before stays so.
        """
        wanted = task_in_path(task_id)
        await cancel.task(principal, wanted, traceparent=traceparent_of(request))
        response.headers["Location"] = f"/rag/task/{wanted}"
        return Cancellation(task_id=wanted)

    return routes
