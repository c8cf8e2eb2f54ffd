"""The HTTP application: routes, the key, and an honest answer to everything else."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kartoteka_local.qdrant import collection_routes, read_routes, write_routes
from kartoteka_local.qdrant.answers import answered
from kartoteka_local.qdrant.refusal import Refusal
from kartoteka_local.qdrant.store import Store

__all__ = ["SERVER_VERSION", "application"]

SERVER_VERSION: Final = "1.20.0"
"""The server whose REST interface is followed; clients compare it with their own version."""

_OPEN: Final = frozenset({"/", "/healthz", "/livez", "/readyz"})
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def application(store: Store, *, api_key: str | None, flush_seconds: float) -> Starlette:
    """Return the application over an open store, which it closes at its end."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        flushing = asyncio.create_task(_flush(store, flush_seconds))
        try:
            yield
        finally:
            flushing.cancel()
            store.close()

    app = Starlette(
        routes=[
            Route("/", _version, methods=["GET"]),
            *(
                Route(f"/{name}", _healthy, methods=["GET"])
                for name in ("healthz", "livez", "readyz")
            ),
            *collection_routes.ROUTES,
            *write_routes.ROUTES,
            *read_routes.ROUTES,
            Route("/{path:path}", answered(_unknown), methods=_METHODS),
        ],
        middleware=[] if api_key is None else [Middleware(_Key, api_key=api_key)],
        lifespan=lifespan,
    )
    app.state.store = store
    return app


class _Key:
    """Lets in who knows the key."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app = app
        self._key = api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        message = "Must provide an API key or an Authorization bearer token"
        refusal = JSONResponse({"status": {"error": message}, "time": 0.0}, status_code=401)
        await refusal(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return secrets.compare_digest(headers.get("api-key", bearer).encode(), self._key)


async def _flush(store: Store, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        store.flush()


async def _version(_: Request) -> Response:
    title = "the embedded Qdrant of Kartoteka (no server)"
    return JSONResponse({"title": title, "version": SERVER_VERSION})


async def _healthy(_: Request) -> Response:
    # The store is loaded before the port is bound.
    return PlainTextResponse("healthz check passed")


async def _unknown(request: Request) -> Any:
    raise Refusal.unknown(f"the call {request.method} {request.url.path}")
