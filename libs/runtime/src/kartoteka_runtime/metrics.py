"""Metrics of one process, in one registry that is passed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from kartoteka_runtime.metric_table import Table

__all__ = ["BYTES", "SECONDS", "Definition", "Metrics", "process_registry"]

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Buckets for durations: from one produce to the longest parse, in seconds."""

BYTES: Final = tuple(float(2**exponent) for exponent in range(10, 31, 2))
"""Buckets for sizes: 1 KiB to 1 GiB."""

_NAMESPACE: Final = "kartoteka"


def process_registry() -> CollectorRegistry:
    """Return a registry that already tells of the process: memory, file handles, CPU seconds."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What there is to know of a metric before it has a value."""

    name: str
    """As it is asked for, with its prefix and a counter's ``_total``."""
    kind: str
    about: str
    labels: tuple[str, ...]


class Metrics:
    """Defines metrics under the prefix ``kartoteka_`` and renders them.

    Labels are a closed set of values, never an id. Each name may be defined once in a registry;
    a second time raises ValueError.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self.definitions: list[Definition] = []
        """What was defined here, in order."""

    def counter(self, name: str, about: str, labels: Sequence[str] = ()) -> Counter:
        """Define what only grows; Prometheus appends ``_total``."""
        self._note(f"{name}_total", "counter", about, labels)
        return Counter(name, about, labels, namespace=_NAMESPACE, registry=self.registry)

    def gauge(self, name: str, about: str, labels: Sequence[str] = ()) -> Gauge:
        """Define what goes up and down."""
        self._note(name, "gauge", about, labels)
        return Gauge(name, about, labels, namespace=_NAMESPACE, registry=self.registry)

    def histogram(
        self,
        name: str,
        about: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float] = SECONDS,
    ) -> Histogram:
        """Define a distribution; ``buckets`` are upper bounds in the metric's unit."""
        self._note(name, "histogram", about, labels)
        return Histogram(
            name, about, labels, namespace=_NAMESPACE, registry=self.registry, buckets=buckets
        )

    def table(self, name: str, about: str, labels: Sequence[str] = ()) -> Table:
        """Define a gauge of which all values change at once, and may be unknown."""
        self._note(name, "gauge", about, labels)
        return Table(f"{_NAMESPACE}_{name}", about, labels, self.registry)

    def render(self) -> tuple[bytes, str]:
        """Return the answer to ``GET /metrics`` and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _note(self, name: str, kind: str, about: str, labels: Sequence[str]) -> None:
        self.definitions.append(
            Definition(name=f"{_NAMESPACE}_{name}", kind=kind, about=about, labels=tuple(labels))
        )
