"""Requests in, answers out, in the shape of a Qdrant server's."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kartoteka_local.qdrant.refusal import Refusal
from kartoteka_local.qdrant.store import Store

__all__ = ["Endpoint", "allow_only", "answered", "body", "store_of"]

T = TypeVar("T")

Endpoint = Callable[[Request], Awaitable[Any]]
"""Returns the ``result`` of the answer, or raises a Refusal."""

# With one copy of everything, written and read by one thread, these change nothing.
_HARMLESS: Final = frozenset({"wait", "ordering", "consistency", "timeout"})
_SHOWN: Final = 3


def answered(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Wrap an endpoint's result, or its refusal, as Qdrant does."""

    async def answer(request: Request) -> Response:
        began = time.monotonic()
        try:
            if unknown := request.query_params.keys() - _HARMLESS:
                raise Refusal.unknown(f"the parameter {', '.join(sorted(unknown))}")
            content: dict[str, Any] = {"result": await endpoint(request), "status": "ok"}
            status = 200
        except Refusal as refusal:
            content = {"status": {"error": refusal.message}}
            status = refusal.status
        return JSONResponse(content | {"time": time.monotonic() - began}, status_code=status)

    return answer


async def body(request: Request, adapter: TypeAdapter[T]) -> T:
    """Read the request's body as what it must be.

    Raises:
        Refusal: 400.
    """
    try:
        return adapter.validate_json(await request.body())
    except ValidationError as error:
        shown = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors(include_url=False, include_context=False, include_input=False)[
                :_SHOWN
            ]
        )
        raise Refusal.wrong(f"Format error in JSON body: {shown}") from error


def allow_only(request: BaseModel, *known: str) -> None:
    """Refuse what a body asks for beyond the known fields: ignoring it would answer wrongly.

    Raises:
        Refusal: 501.
    """
    asked = {name for name in request.model_fields_set if getattr(request, name) is not None}
    if unknown := asked - set(known):
        name = type(request).__name__
        raise Refusal.unknown(f"{', '.join(sorted(unknown))} in {name}")


def store_of(request: Request) -> Store:
    """Return the process's store."""
    store: Store = request.app.state.store
    return store
