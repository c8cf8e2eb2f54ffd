"""A tracer whose spans stay in memory."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kartoteka_runtime.tracing import Tracer

__all__ = ["RecordedSpans"]


class RecordedSpans:
    """Everything that one tracer has recorded, in the order in which it ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = Tracer(provider)

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        """Every span that has ended."""
        return self._exporter.get_finished_spans()

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [span.name for span in self.all]

    def named(self, name: str) -> list[ReadableSpan]:
        """Return those of a name."""
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """Return the only one of a name."""
        (span,) = self.named(name)
        return span

    def parent(self, span: ReadableSpan) -> ReadableSpan | None:
        """Return a span's parent; None where it was recorded elsewhere, or there is none."""
        wanted = None if span.parent is None else span.parent.span_id
        return next((one for one in self.all if one.context.span_id == wanted), None)

    def path(self, span: ReadableSpan) -> list[str]:
        """Return the names from the first known ancestor down to a span."""
        above = self.parent(span)
        return [*([] if above is None else self.path(above)), span.name]

    def traces(self) -> set[int]:
        """Return the ids of all traces."""
        return {span.context.trace_id for span in self.all}

    @staticmethod
    def attributes(span: ReadableSpan) -> Mapping[str, Any]:
        """Return a span's attributes."""
        return span.attributes or {}
