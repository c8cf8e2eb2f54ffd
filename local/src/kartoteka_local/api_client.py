"""The stack's own API, as any caller speaks to it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

__all__ = ["ApiClient", "ApiError", "SearchHit", "TaskState"]

_TIMEOUT_SECONDS: Final = 30.0
_OPEN: Final = frozenset({"queued", "running", "retrying"})
_PAGE: Final = 100


class ApiError(Exception):
    """The API refused, or did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """Where a task is."""

    status: str
    stage: str | None
    progress: float
    error: str | None

    @property
    def is_end(self) -> bool:
        """Whether nothing will follow."""
        return self.status not in _OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """One passage found."""

    score: float
    text: str
    name: str
    page: int | None


class ApiClient:
    """A context; every call raises ApiError when the API refuses or does not answer."""

    def __init__(
        self, url: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"X-API-Key": key},
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def upload(self, path: Path, cabinet: int) -> str:
        """Upload a file. Returns its task's id."""
        answer = await self._call(
            "POST",
            "/rag/add-document",
            files={"file": (path.name, await asyncio.to_thread(path.read_bytes))},
            data={"cabinet_id": str(cabinet)},
        )
        return str(answer["task_id"])

    async def task(self, task_id: str) -> TaskState:
        """Return where a task is."""
        answer = await self._call("GET", f"/rag/task/{task_id}")
        error = answer.get("error")
        return TaskState(
            status=str(answer["status"]),
            stage=answer.get("stage"),
            progress=float(answer.get("progress") or 0.0),
            error=f"{error['code']}: {error['message']}" if error else None,
        )

    async def newest_task(self, cabinet: int) -> str | None:
        """Return the id of the task that was accepted last in a cabinet; None: there is none."""
        parameters = {"cabinet": str(cabinet), "limit": "1"}
        answer = await self._call("GET", "/rag/tasks", params=parameters)
        return next((str(task["task_id"]) for task in answer["tasks"]), None)

    async def indexed(self, cabinet: int) -> dict[str, str]:
        """Return the sha256 of every indexed document of a cabinet, by its external id."""
        found: dict[str, str] = {}
        parameters: dict[str, str] = {"state": "indexed", "limit": str(_PAGE)}
        while True:
            path = f"/rag/cabinets/{cabinet}/documents"
            page = await self._call("GET", path, params=parameters)
            for document in page["documents"]:
                found[document["external_id"]] = document["published"]["sha256"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found
            parameters["cursor"] = str(cursor)

    async def search(self, cabinet: int, query: str, top_k: int) -> list[SearchHit]:
        """Return the nearest passages, nearest first."""
        body = {"cabinet_id": cabinet, "query": query, "top_k": top_k}
        answer = await self._call("POST", "/rag/search", json=body)
        return [
            SearchHit(
                score=hit["score"],
                text=hit["text"],
                name=hit.get("filename") or hit["external_id"],
                page=hit.get("page"),
            )
            for hit in answer["hits"]
        ]

    async def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise ApiError(f"{method} {path}: {str(error) or type(error).__name__}") from error
        if answer.is_error:
            raise ApiError(f"{method} {path} answers {answer.status_code}: {answer.text[:500]}")
        try:
            body: dict[str, Any] = answer.json()
        except ValueError as error:
            raise ApiError(f"{method} {path} answers no JSON") from error
        return body
