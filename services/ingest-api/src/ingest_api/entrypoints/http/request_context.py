"""Around every request: its id, its trace, its log line, its metrics, and the last guard."""

import re
from contextlib import nullcontext
from typing import Final
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest_api.entrypoints.http.problems import problem_response
from ingest_api.entrypoints.http.trace import about_nothing, enter
from ingest_api.telemetry import Telemetry
from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.tracing import Span, SpanKind, Tracer, traceparent

__all__ = ["RequestContext"]

_LOG: Final = get_logger(__name__)
_GOOD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET_ROUTES: Final = ("/healthz/", "/metrics")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNTRACED: Final = Tracer()
_UNMATCHED: Final = "unmatched"
_SERVER_ERROR: Final = 500
_NO_ANSWER: Final = 499
"""The status that is logged where the client left before an answer."""


class RequestContext:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, clock: Clock, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._telemetry = telemetry
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent = headers.get("x-request-id", "")
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
        is_quiet = scope["path"].startswith(_QUIET_ROUTES)
        tracer = _UNTRACED if is_quiet else self._tracer
        with (
            nullcontext() if is_quiet else self._telemetry.in_flight.track_inprogress(),
            tracer.begin(
                _method(scope), traceparent=headers.get("traceparent"), kind=SpanKind.SERVER
            ) as span,
            structlog.contextvars.bound_contextvars(request_id=request_id),
        ):
            enter(scope, span, traceparent())
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
                _tell(span, scope, status)
                self._record(scope, status, self._clock.monotonic() - begun)
                about_nothing()

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route, method = _route(scope), _method(scope)
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
    return str(getattr(scope.get("route"), "path", _UNMATCHED))


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


def _tell(span: Span, scope: Scope, status: int) -> None:
    """Name a span by its route, and say how it was answered."""
    method, route = _method(scope), _route(scope)
    span.set({"http.request.method": method})
    if route != _UNMATCHED:
        span.rename(f"{method} {route}")
        span.set({"http.route": route})
    if status == _NO_ANSWER:
        span.note(client_left=True)
        return
    span.set({"http.response.status_code": status})
    if status >= _SERVER_ERROR:
        span.fail(str(status))
