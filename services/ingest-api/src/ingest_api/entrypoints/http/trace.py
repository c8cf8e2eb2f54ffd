"""What a request is about: for its trace, and for the lines that are logged while it is served."""

from collections.abc import Callable, Mapping
from typing import Final

from fastapi import Request
from starlette.types import Scope
from structlog.contextvars import bind_contextvars, unbind_contextvars

from ingest_api.entrypoints.http.path_ids import cabinet_in_path, document_in_path, task_in_path
from kartoteka_contracts.errors import RequestError
from kartoteka_runtime.tracing import Span

__all__ = ["about", "about_nothing", "about_path", "enter", "traceparent_of"]

_SPAN: Final = "kartoteka.span"
_TRACEPARENT: Final = "kartoteka.traceparent"
_PATH_IDS: Final[Mapping[str, Callable[[str], str | int]]] = {
    "task_id": task_in_path,
    "document_id": document_in_path,
    "cabinet_id": cabinet_in_path,
}


def enter(scope: Scope, span: Span, traceparent: str | None) -> None:
    """Give a request its span, and what makes other work a part of it."""
    scope[_SPAN], scope[_TRACEPARENT] = span, traceparent


def traceparent_of(request: Request) -> str | None:
    """Return what makes the events of a request a part of its trace; None where it has none."""
    found: str | None = request.scope.get(_TRACEPARENT)
    return found


def about(request: Request, **ids: str | int) -> None:
    """Name what a request is about: in its span, and in every line until it is answered."""
    bind_contextvars(**ids)
    span: Span | None = request.scope.get(_SPAN)
    if span is not None:
        span.note(**ids)


def about_nothing() -> None:
    """Forget what :func:`about` named."""
    unbind_contextvars(*_PATH_IDS)


async def about_path(request: Request) -> None:
    """Name the ids in a request's path, as far as they can be some; a route refuses the others."""
    for name, read in _PATH_IDS.items():
        text = request.path_params.get(name)
        if text is None:
            continue
        try:
            about(request, **{name: read(text)})
        except RequestError:
            continue
