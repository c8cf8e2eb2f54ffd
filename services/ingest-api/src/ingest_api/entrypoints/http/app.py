"""The FastAPI application: routers behind the same doors, errors and limits."""

from dataclasses import dataclass, field
from typing import Final

from fastapi import APIRouter, Depends, FastAPI

from ingest_api.entrypoints.http import docs_page, problems, security
from ingest_api.entrypoints.http.description import DescribedApp
from ingest_api.entrypoints.http.receive_deadline import ReceiveDeadline, ReceivePolicy
from ingest_api.entrypoints.http.request_context import RequestContext
from ingest_api.entrypoints.http.trace import about_path
from ingest_api.ports import KeyRing
from ingest_api.telemetry import Telemetry
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.tracing import Tracer

__all__ = ["Edge", "create_app"]

_OPENAPI: Final = "/openapi.json"
_DESCRIPTION: Final = """\
Upload documents, follow each of them by its task, search what they say.

* Every call needs an API key, in `X-API-Key` or as `Authorization: Bearer`. A key has scopes and
  cabinets; a cabinet is a tenant.
* An upload is answered with 202 once it is safe; the rest happens in the background.
* Errors are problem documents (RFC 9457) with a stable `code`. 503 comes with `Retry-After`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What the application needs besides its routers."""

    keys: KeyRing
    telemetry: Telemetry
    clock: Clock
    receive: ReceivePolicy
    docs: bool = True
    tracer: Tracer = field(default_factory=Tracer)


def create_app(edge: Edge, *routers: APIRouter) -> FastAPI:
    """Return the application with these routers; it connects to nothing."""
    app = DescribedApp(
        title="Kartoteka",
        version="0.1.0",
        description=_DESCRIPTION,
        openapi_url=_OPENAPI if edge.docs else None,
        docs_url=None,
        redoc_url=None,
    )
    if edge.docs:
        app.include_router(docs_page.router(title="Kartoteka", openapi_url=_OPENAPI))
    security.install(app.state, edge.keys)
    problems.install(app)
    for router in routers:
        app.include_router(router, dependencies=[Depends(about_path)])
    # The last one added is the outermost.
    app.add_middleware(ReceiveDeadline, policy=edge.receive, clock=edge.clock)
    app.add_middleware(
        RequestContext, telemetry=edge.telemetry, clock=edge.clock, tracer=edge.tracer
    )
    return app
