"""The FastAPI application: routers behind the same doors, errors and limits."""

from dataclasses import dataclass

from fastapi import APIRouter, FastAPI

from ingest_api.entrypoints.http import problems, security
from ingest_api.ports import KeyRing

__all__ = ["Edge", "create_app"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What the application needs besides its routers."""

    keys: KeyRing
    docs: bool = True


def create_app(edge: Edge, *routers: APIRouter) -> FastAPI:
    """Return the application with these routers; it connects to nothing."""
    app = FastAPI(
        title="Kartoteka",
        version="0.1.0",
        openapi_url="/openapi.json" if edge.docs else None,
    )
    security.install(app.state, edge.keys)
    problems.install(app)
    for router in routers:
        app.include_router(router)
    return app
