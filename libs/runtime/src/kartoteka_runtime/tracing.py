"""Traces: what became of one request or document, through every process that worked on it.

A process has one :class:`Tracer`, which is passed in. It begins what a process does for a request
or an event; everything below that finds its place by itself, with :func:`child`, as log lines find
their context. Context travels as a W3C ``traceparent`` and nothing else.

Without tracing nothing is recorded, and a ``traceparent`` that came in is still passed on and
stands in the log lines.
"""

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Self, TypeAlias

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import Field, model_validator
from structlog.contextvars import bound_contextvars

from kartoteka_runtime.env import Fragment

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = [
    "Span",
    "SpanKind",
    "Tracer",
    "TracingSettings",
    "child",
    "failed",
    "linked",
    "note",
    "open_tracer",
    "origin",
    "past",
    "traceparent",
]

Value: TypeAlias = str | int | float | bool | None

_OWN: Final = "kartoteka."
"""What the names of our own attributes begin with; OpenTelemetry's have their own."""
_HEADER: Final = "traceparent"
_W3C: Final = TraceContextTextMapPropagator()
_NO_ROOM: Final = 2048
_BATCH: Final = 512
_EXPORT_EVERY_MS: Final = 2000
_EXPORT_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 3.0


class TracingSettings(Fragment):
    """Traces, sent to an OpenTelemetry collector. Off unless enabled."""

    prefix: ClassVar[str] = "TRACING_"

    enabled: bool = False
    """Whether spans are recorded and sent."""
    endpoint: str | None = Field(default=None, pattern=r"^https?://[^/]")
    """Base URL of a collector that takes OTLP over HTTP, as ``http://collector:4318``; needed when
    enabled. One that is away costs nothing but its spans."""
    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    """Share of the traces that are recorded, chosen by their ids alone: all processes that have the
    same share choose alike. Of a trace that a caller has begun, nothing is recorded unless the
    caller records it too; that the caller does is no reason to exceed the share."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.enabled and self.endpoint is None:
            raise ValueError("TRACING_ENDPOINT must be set when TRACING_ENABLED is true")
        return self


class Span:
    """What is told about one piece of work. Attributes hold ids, counts and codes, never text."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, **values: Value) -> None:
        """Set attributes of ours; None is left out."""
        for name, value in values.items():
            if value is not None:
                self._span.set_attribute(_OWN + name, value)

    def set(self, attributes: Mapping[str, str | int | float | bool]) -> None:
        """Set attributes whose names OpenTelemetry has fixed."""
        self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        """Name it by what became known only later."""
        self._span.update_name(name)

    def fail(self, code: str) -> None:
        """Mark it as failed."""
        self._span.set_attribute("error.type", code)
        self._span.set_status(Status(StatusCode.ERROR, code))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the current work stands in its trace."""

    tracer: trace.Tracer | None
    """None where nothing is recorded."""
    span: trace.Span
    origin: SpanContext


_SILENT: Final = nullcontext(Span(trace.INVALID_SPAN))
_place: ContextVar[_Place | None] = ContextVar("kartoteka_trace", default=None)


class Tracer:
    """Begins the traces of one process; without a provider it only passes on what came in."""

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("kartoteka")

    @contextmanager
    def begin(
        self,
        name: str,
        *,
        traceparent: str | None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int | float | bool] | None = None,
    ) -> Iterator[Span]:
        """Work on something that came from outside of the process.

        What runs inside belongs to it; an enclosing trace does not matter. Log lines inside name
        the trace.

        Args:
            name: a closed set.
            traceparent: what came with it; one that cannot be read counts as none.
            kind: whether a request or an event is worked on.
            attributes: of the span.
        """
        came = _W3C.extract({_HEADER: traceparent}, Context()) if traceparent else Context()
        parent = trace.get_current_span(came)
        span = parent
        if self._tracer is not None:
            span = self._tracer.start_span(name, came, kind, attributes)
        context = parent.get_span_context()
        origin = context if context.is_valid else span.get_span_context()
        with _at(_Place(self._tracer, span, origin)) as begun:
            yield begun

    async def close(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Send what is left, for so many seconds at most; afterwards nothing is recorded."""
        provider = self._provider
        if provider is None:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def shut_down() -> None:
            provider.shutdown()
            with suppress(RuntimeError):  # the loop did not wait, and is closed
                loop.call_soon_threadsafe(done.set)

        # No worker of the loop's: those are waited for at its end, and this may hang for longer.
        threading.Thread(target=shut_down, name="tracing-close", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await done.wait()


def open_tracer(settings: TracingSettings, *, service: str) -> Tracer:
    """Return the process's tracer, which sends in the background; to be closed at the end.

    What a collector does not take in time is dropped, oldest first; work never waits for it.
    """
    if not settings.enabled or settings.endpoint is None:
        return Tracer()
    # Only who traces pays for what tracing imports.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415

    # Anybody may send a traceparent that says "recorded": traces begin before keys are looked at.
    share = TraceIdRatioBased(settings.sample_ratio)
    provider = TracerProvider(
        sampler=ParentBased(share, remote_parent_sampled=share),
        resource=Resource.create({"service.namespace": "kartoteka", "service.name": service}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=_NO_ROOM,
            max_export_batch_size=_BATCH,
            schedule_delay_millis=_EXPORT_EVERY_MS,
        )
    )
    return Tracer(provider)


def child(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, **values: Value
) -> AbstractContextManager[Span]:
    """Work on a part of the current work; outside of any, and without tracing, nothing happens."""
    here = _place.get()
    if here is None or here.tracer is None:
        return _SILENT
    return _child(here, here.tracer, name, kind, values)


def past(name: str, *, seconds: float, ago: float = 0.0, **values: Value) -> None:
    """Record a part that was measured elsewhere: it took ``seconds`` and ended ``ago`` seconds."""
    here = _place.get()
    if here is None or here.tracer is None:
        return
    end = time.time_ns() - int(ago * 1e9)
    span = here.tracer.start_span(name, _within(here.span), start_time=end - int(seconds * 1e9))
    Span(span).note(**values)
    span.end(end)


def linked(name: str, **values: Value) -> AbstractContextManager[Span]:
    """Begin another trace, for work that goes its own way from here, linked to the current one."""
    here = _place.get()
    if here is None or here.tracer is None:
        return _SILENT
    links = [trace.Link(here.span.get_span_context())]
    span = here.tracer.start_span(name, Context(), SpanKind.PRODUCER, links=links)
    Span(span).note(**values)
    return _at(_Place(here.tracer, span, span.get_span_context()))


def note(**values: Value) -> None:
    """Set attributes of the current work."""
    here = _place.get()
    if here is not None:
        Span(here.span).note(**values)


def failed(code: str) -> None:
    """Mark the current work as failed, where that is told otherwise than by an error."""
    here = _place.get()
    if here is not None:
        Span(here.span).fail(code)


def traceparent() -> str | None:
    """Return what makes other work a part of the current one; None where there is no trace."""
    here = _place.get()
    return None if here is None else _header(here.span.get_span_context())


def origin() -> str | None:
    """Return the ``traceparent`` that the work came with, or its own where it came with none.

    For work that is to stand beside the current one, as another try does.
    """
    here = _place.get()
    return None if here is None else _header(here.origin)


@contextmanager
def _child(
    here: _Place,
    tracer: trace.Tracer,
    name: str,
    kind: SpanKind,
    values: Mapping[str, Value],
) -> Iterator[Span]:
    span = tracer.start_span(name, _within(here.span), kind)
    begun = Span(span)
    begun.note(**values)
    token = _place.set(_Place(tracer, span, here.origin))
    try:
        with _told(begun):
            yield begun
    finally:
        _place.reset(token)
        span.end()


@contextmanager
def _at(place: _Place) -> Iterator[Span]:
    begun = Span(place.span)
    context = place.span.get_span_context()
    token = _place.set(place)
    named = {"trace_id": f"{context.trace_id:032x}"} if context.is_valid else {}
    try:
        with bound_contextvars(**named), _told(begun):
            yield begun
    finally:
        _place.reset(token)
        place.span.end()


@contextmanager
def _told(span: Span) -> Iterator[None]:
    """Say by which error a span ends: its kind only, since its message may quote a document."""
    try:
        yield
    except asyncio.CancelledError:
        span.note(cancelled=True)
        raise
    except BaseException as error:
        span.fail(str(getattr(error, "code", "") or type(error).__name__))
        raise


def _within(span: trace.Span) -> Context:
    return trace.set_span_in_context(span, Context())


def _header(context: SpanContext) -> str | None:
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
