"""``POST /rag/index/{cabinet_id}``, and what that would do."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ingest_api.domain.access import Principal, Scope
from ingest_api.domain.run_plan import RunWish
from ingest_api.entrypoints.http.cabinet_answers import COUNTS_EXAMPLE
from ingest_api.entrypoints.http.path_ids import cabinet_in_path
from ingest_api.entrypoints.http.problems import responses
from ingest_api.entrypoints.http.query_parameters import only
from ingest_api.entrypoints.http.security import AUTH_CODES, require
from ingest_api.entrypoints.http.trace import about, traceparent_of
from ingest_api.entrypoints.http.wording import public_words
from ingest_api.usecases.reindex import Reindex
from kartoteka_contracts.ids import DocumentId
from kartoteka_contracts.reindex import ReindexMode, RunCounts

__all__ = ["router"]

_TASK: Final = "0198f2c4-b7a9-7d0e-8f5c-2a1b3d4e5f60"
_UUID: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_Document = Annotated[str, StringConstraints(pattern=_UUID, to_lower=True)]
_BEGUN: Final = "the cabinet is compared with its sources"
_JOINED: Final = "a run of the cabinet is under way already; this is its task"


class RunRequest(BaseModel):
    """What a run is to do."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"mode": "changed"}]},
    )

    mode: ReindexMode = ReindexMode.CHANGED
    """changed: what is new, changed, or made by an older parser, and what has vanished is removed.
    full: all but what failed, changed or not. failed: only what failed."""
    document_ids: list[_Document] | None = Field(default=None, min_length=1, max_length=1000)
    """Only these documents. The task ends as superseded while another run is under way."""
    confirm_vanished: bool = False
    """Whether documents are removed even where suspiciously many of a source's objects are gone."""


class RunAccepted(BaseModel):
    """A run that will be, or is, under way."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"message": _BEGUN, "task_id": _TASK}]},
    )

    message: str
    """Whether it is a new run, for people."""
    task_id: str
    """Follow it at ``GET /rag/task/{task_id}``."""


class WouldFail(BaseModel):
    """Why a run would end as failed, and change nothing."""

    code: str
    message: str


class PlanAnswer(BaseModel):
    """What a run would do."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "cabinet_id": 1,
                    "mode": "changed",
                    "total": 12,
                    "counts": COUNTS_EXAMPLE,
                    "chunks": 264,
                    "estimated_seconds": 31.5,
                    "would_fail": None,
                }
            ]
        },
    )

    cabinet_id: int
    mode: ReindexMode
    total: int
    """Documents that it has work for."""
    counts: RunCounts
    chunks: int | None
    """Pieces of text that it would embed, estimated."""
    estimated_seconds: float | None
    """Until its end, estimated."""
    would_fail: WouldFail | None
    """Null where it would run."""


_Indexer = Annotated[Principal, Depends(require(Scope.INGEST))]
_Reader = Annotated[Principal, Depends(require(Scope.READ))]


def router(reindex: Reindex) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/rag/index", tags=["cabinets"])

    @routes.post(
        "/{cabinet_id}",
        status_code=HTTPStatus.ACCEPTED,
        responses=responses(
            *AUTH_CODES,
            "not_found",
            "invalid_request",
            "body_too_large",
            "event_log_unavailable",
            "view_behind",
        ),
        summary="Reindex a cabinet",
        dependencies=[Depends(only())],
    )
    async def start_run(
        request: Request,
        response: Response,
        cabinet_id: str,
        principal: _Indexer,
        body: RunRequest | None = None,
    ) -> RunAccepted:
        """Compare a cabinet with its sources and index what differs, one task for it all.

        A request without a body joins the run of the cabinet that is under way: the answer is that
        run. Any other is a task of its own: it waits while a run is under way that does less, and
        ends at once as superseded, naming the run, where one does as much.
        """
        wanted = RunRequest() if body is None else body
        ids = wanted.document_ids
        wish = RunWish(
            mode=wanted.mode,
            document_ids=None if ids is None else tuple(map(DocumentId, dict.fromkeys(ids))),
            is_vanishing_confirmed=wanted.confirm_vanished,
        )
        asked = await reindex.request(
            principal, cabinet_in_path(cabinet_id), wish, traceparent=traceparent_of(request)
        )
        about(request, task_id=asked.task_id)
        response.headers["Location"] = f"/rag/task/{asked.task_id}"
        return RunAccepted(message=_JOINED if asked.is_joined else _BEGUN, task_id=asked.task_id)

    @routes.get(
        "/{cabinet_id}/plan",
        responses=responses(
            *AUTH_CODES, "not_found", "invalid_request", "planner_unavailable", "view_behind"
        ),
        summary="Say what a reindex would do",
        dependencies=[Depends(only("mode"))],
    )
    async def plan_run(
        cabinet_id: str,
        principal: _Reader,
        mode: Annotated[ReindexMode, Query(description="Of the run.")] = ReindexMode.CHANGED,
    ) -> PlanAnswer:
        """Return what a run would do now, without doing it.

        It lists all that the cabinet and its sources have, so it may take minutes.
        """
        plan = await reindex.plan(principal, cabinet_in_path(cabinet_id), mode)
        fault = plan.would_fail
        return PlanAnswer(
            cabinet_id=plan.cabinet_id,
            mode=plan.mode,
            total=plan.total,
            counts=plan.counts,
            chunks=plan.chunks,
            estimated_seconds=plan.estimated_seconds,
            would_fail=(
                None
                if fault is None
                else WouldFail(code=fault.code, message=public_words(fault.code, fault.message))
            ),
        )

    return routes
