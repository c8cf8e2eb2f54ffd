"""Metrics of one process, in one registry that is passed in."""

from collections.abc import Sequence
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

__all__ = ["BYTES", "SECONDS", "Metrics", "process_registry"]

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


class Metrics:
    """Defines metrics under the prefix ``kartoteka_`` and renders them.

    Labels are a closed set of values, never an id. Each name may be defined once in a registry;
    a second time raises ValueError.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()

    def counter(self, name: str, about: str, labels: Sequence[str] = ()) -> Counter:
        """Define what only grows; Prometheus appends ``_total``."""
        return Counter(name, about, labels, namespace=_NAMESPACE, registry=self.registry)

    def gauge(self, name: str, about: str, labels: Sequence[str] = ()) -> Gauge:
        """Define what goes up and down."""
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
        return Histogram(
            name, about, labels, namespace=_NAMESPACE, registry=self.registry, buckets=buckets
        )

    def render(self) -> tuple[bytes, str]:
        """Return the answer to ``GET /metrics`` and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
