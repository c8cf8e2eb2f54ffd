"""What a producer counts."""

from dataclasses import dataclass
from typing import Self

from prometheus_client import Counter, Histogram

from kartoteka_runtime.metrics import Metrics

__all__ = ["ProducerMetrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerMetrics:
    """Counters of one producer."""

    sends: Counter
    """Records by outcome: delivered, dropped, or the code of the error."""
    ack_seconds: Histogram
    """From the call to the acknowledgement."""
    rebuilds: Counter
    """Clients replaced because they were spoilt or stuck."""

    @classmethod
    def define(cls, metrics: Metrics) -> Self:
        """Define them in a process's metrics."""
        return cls(
            sends=metrics.counter("producer_sends", "Records sent to Kafka", ["outcome"]),
            ack_seconds=metrics.histogram(
                "producer_ack_seconds", "Seconds until a record was acknowledged"
            ),
            rebuilds=metrics.counter("producer_rebuilds", "Kafka clients replaced"),
        )

    @classmethod
    def unregistered(cls) -> Self:
        """Define them where nobody looks."""
        return cls.define(Metrics())
