"""Around every request: its id, its log line, its metrics, and the last guard."""

import re
from typing import Final
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest_api.entrypoints.http.problems import problem_response
from ingest_api.telemetry import Telemetry
from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger

__all__ = ["RequestContext"]

_LOG: Final = get_logger(__name__)
_GOOD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET_ROUTES: Final = ("/healthz/", "/metrics")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_ANSWER: Final = 499
"""The status that is logged where the client left before an answer."""


class RequestContext:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, clock: Clock) -> None:
        self._app = app
        self._telemetry = telemetry
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = sent if _GOOD_ID.fullmatch(sent) else uuid4().hex
        scope["request_id"] = request_id
        status = _NO_ANSWER

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        begun = self._clock.monotonic()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, sending)
            except Exception:
                # The last guard of a request: the caller gets an answer.
                _LOG.exception("request_failed", route=_route(scope))
                if status != _NO_ANSWER:
                    raise  # too late for another answer: the connection breaks off
                answer = problem_response(KartotekaError("internal"), request_id=request_id)
                await answer(scope, receive, sending)
            finally:
                self._record(scope, status, self._clock.monotonic() - begun)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._telemetry.requests.labels(method, route, str(status)).inc()
        self._telemetry.request_seconds.labels(route).observe(seconds)
        log = _LOG.debug if route.startswith(_QUIET_ROUTES) else _LOG.info
        log(
            "request",
            method=method,
            route=route,
            status=status,
            seconds=round(seconds, 4),
            key_id=scope.get("key_id"),
        )


def _route(scope: Scope) -> str:
    """Return the route's pattern; paths hold ids, and 404s hold anything."""
    return str(getattr(scope.get("route"), "path", "unmatched"))
