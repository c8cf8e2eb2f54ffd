"""``GET /rag/task/{task_id}``, the same as a stream, and ``GET /rag/tasks``."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, JsonValue

from ingest_api.domain.access import Principal, Scope
from ingest_api.domain.task import Task
from ingest_api.entrypoints.http.path_ids import (
    cabinet_in_path,
    task_cursor,
    task_in_path,
    task_place,
)
from ingest_api.entrypoints.http.problems import responses
from ingest_api.entrypoints.http.query_parameters import only
from ingest_api.entrypoints.http.run_answers import run_result
from ingest_api.entrypoints.http.security import AUTH_CODES, require
from ingest_api.entrypoints.http.wording import public_words
from ingest_api.usecases.read_tasks import ReadTasks, TaskWish
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import IndexResult, TaskError
from kartoteka_contracts.reindex import RunResult
from kartoteka_contracts.tasks import Stage, TaskKind, TaskStatus

__all__ = ["TaskAnswer", "router"]

_EXAMPLE: Final[dict[str, JsonValue]] = {
    "task_id": "0198f2c4-b7a9-7d0e-8f5c-2a1b3d4e5f60",
    "kind": "index",
    "status": "running",
    "stage": "embedding",
    "progress": 0.6,
    "attempt": 0,
    "cabinet_id": 1,
    "document_id": "5b1f4c1e-6d0a-5c3e-9b57-0a1b2c3d4e5f",
    "external_id": "contract.pdf",
    "version": 1795000000000000,
    "filename": "contract.pdf",
    "replay_of": None,
    "accepted_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:07Z",
    "next_attempt_at": None,
    "result": None,
    "error": None,
}
_STREAM: Final = "text/event-stream"
_RECONNECT_MS: Final = 1000
_MAX_LIMIT: Final = 500


class TaskAnswer(BaseModel):
    """A task as far as this replica knows it, which is never less than what it was accepted as."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        from_attributes=True,
        json_schema_extra={"examples": [_EXAMPLE]},
    )

    task_id: str
    kind: TaskKind | None
    """What it does."""
    status: TaskStatus
    """queued, running or retrying, then one end, which is final: succeeded, empty (no text),
    unchanged, failed, superseded (by a newer version) or cancelled."""
    stage: Stage | None
    """What a running task is at."""
    progress: float
    """The share of the task that is done, 0 to 1."""
    attempt: int
    """0 for the first try."""
    cabinet_id: int
    document_id: str | None
    external_id: str | None
    """The caller's name of the document."""
    version: int | None
    filename: str | None
    replay_of: str | None
    """The task that failed, where this one tries its work again."""
    accepted_at: datetime | None
    updated_at: datetime
    """When it came into this state."""
    next_attempt_at: datetime | None
    """Of a task that is retrying."""
    result: RunResult | IndexResult | None
    """Of a task that came to a good end; of a reindex run also while it runs."""
    error: TaskError | None
    """Of a task that failed or is retrying."""


class TaskList(BaseModel):
    """Tasks, the last accepted first."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"tasks": [_EXAMPLE], "next_cursor": None}]},
    )

    tasks: list[TaskAnswer]
    next_cursor: str | None
    """What to send as ``cursor`` for the next page; null at the end."""


_Reader = Annotated[Principal, Depends(require(Scope.READ))]
_LOOKUP_CODES: Final = (*AUTH_CODES, "not_found", "view_behind")


def router(tasks: ReadTasks) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/rag", tags=["tasks"])

    @routes.get("/task/{task_id}", responses=responses(*_LOOKUP_CODES), summary="Read a task")
    async def read_task(task_id: str, principal: _Reader) -> TaskAnswer:
        """Return where a task is.

        Any replica answers as soon as the upload was answered. Tasks are kept for 7 days after
        their end; those of deleted documents leave with them.
        """
        return _answer(await tasks.find(principal, task_in_path(task_id)))

    @routes.get(
        "/task/{task_id}/events",
        responses={
            200: {
                "description": "One event named `task` for each change; data as of "
                "`GET /rag/task/{task_id}`. Comments keep a silent stream open. It ends after "
                "the task's end, and at the latest when its time is up: then connect again.",
                "content": {_STREAM: {"schema": {"type": "string"}}},
            },
            **responses(*_LOOKUP_CODES, "shutting_down"),
        },
        response_class=StreamingResponse,
        summary="Follow a task",
    )
    async def follow_task(task_id: str, principal: _Reader) -> StreamingResponse:
        """Stream a task's states as Server-Sent Events until its end."""
        states = tasks.follow(principal, task_in_path(task_id))
        # Asked for here, so that what is wrong is answered as a problem and not in the stream.
        first = await anext(states)
        return StreamingResponse(
            _events(first, states),
            media_type=_STREAM,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @routes.get(
        "/tasks",
        responses=responses(*AUTH_CODES, "invalid_request"),
        summary="List tasks",
        dependencies=[Depends(only("cabinet", "status", "cursor", "limit"))],
    )
    async def list_tasks(
        principal: _Reader,
        cabinet: Annotated[
            str | None, Query(description="Only of this cabinet; of all yours when left out.")
        ] = None,
        status: Annotated[TaskStatus | None, Query(description="Only in this state.")] = None,
        cursor: Annotated[
            str | None, Query(description="From the page before.", max_length=100)
        ] = None,
        limit: Annotated[int, Query(ge=1, le=_MAX_LIMIT, description="Tasks in a page.")] = 50,
    ) -> TaskList:
        """Return tasks, the last accepted first."""
        page = await tasks.page(
            principal,
            TaskWish(
                cabinet_id=None if cabinet is None else cabinet_in_path(cabinet),
                status=status,
                after=None if cursor is None else task_place(cursor),
                limit=limit,
            ),
        )
        return TaskList(
            tasks=[_answer(task) for task in page.tasks],
            next_cursor=None if page.next is None else task_cursor(page.next),
        )

    return routes


def _answer(task: Task) -> TaskAnswer:
    answer = TaskAnswer.model_validate(task)
    if task.kind is TaskKind.REINDEX:
        answer.result = run_result(task)
    if answer.error is not None:
        words = public_words(answer.error.code, answer.error.message)
        answer.error = answer.error.model_copy(update={"message": words})
    return answer


async def _events(first: Task | None, states: AsyncIterator[Task | None]) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % _RECONNECT_MS
    yield _event(first)
    try:
        async for state in states:
            yield _event(state)
    except UnavailableError:
        # The view cannot be read just now; the client connects again and may find another replica.
        return


def _event(state: Task | None) -> bytes:
    if state is None:
        return b":\n\n"
    return b"event: task\ndata: %s\n\n" % _answer(state).model_dump_json().encode()
