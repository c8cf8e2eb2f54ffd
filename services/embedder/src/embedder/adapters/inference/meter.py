"""What inference tells about itself in numbers."""

from collections.abc import Callable
from typing import Final, Protocol

from kartoteka_runtime.metrics import Metrics

__all__ = ["InferenceMeter", "PrometheusInferenceMeter", "SilentInferenceMeter"]

_FILL: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
_BATCH_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10)


class InferenceMeter(Protocol):
    """Is told of every call of the model, from the inference thread."""

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Learn where to read the number of rows that wait."""
        ...

    def ran(self, *, rows: int, tokens: int, padded: int, seconds: float) -> None:
        """Note one call.

        Args:
            rows: texts.
            tokens: their tokens, specials included.
            padded: what the model computed, padding included.
            seconds: how long it took.
        """
        ...

    def failed(self) -> None:
        """Note one call that raised."""
        ...


class SilentInferenceMeter:
    """For where nobody looks."""

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Do nothing."""

    def ran(self, *, rows: int, tokens: int, padded: int, seconds: float) -> None:
        """Do nothing."""

    def failed(self) -> None:
        """Do nothing."""


class PrometheusInferenceMeter:
    """Tokens per second are the rate of ``inference_tokens`` to that of the seconds' sum."""

    def __init__(self, metrics: Metrics) -> None:
        self._queue = metrics.gauge("inference_queue_rows", "Texts that wait for the model")
        self._rows = metrics.counter("inference_rows", "Texts embedded")
        self._tokens = metrics.counter("inference_tokens", "Tokens embedded, without padding")
        self._failures = metrics.counter("inference_failures", "Calls of the model that raised")
        self._seconds = metrics.histogram(
            "inference_seconds", "Seconds of one call of the model", buckets=_BATCH_SECONDS
        )
        self._fill = metrics.histogram(
            "inference_fill", "Share of a batch that is text, not padding", buckets=_FILL
        )

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Read the gauge from it when it is scraped."""
        self._queue.set_function(length)

    def ran(self, *, rows: int, tokens: int, padded: int, seconds: float) -> None:
        """Note one call."""
        self._rows.inc(rows)
        self._tokens.inc(tokens)
        self._seconds.observe(seconds)
        self._fill.observe(tokens / padded)

    def failed(self) -> None:
        """Note one call that raised."""
        self._failures.inc()
