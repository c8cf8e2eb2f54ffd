"""What the view tells of itself."""

from typing import Literal

from kartoteka_runtime.metrics import Metrics

__all__ = ["ViewMetrics"]


class ViewMetrics:
    """The view's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._lag = metrics.gauge(
            "view_lag_records", "Records on the log that the view has not applied yet"
        )
        self._applied = metrics.counter(
            "view_applied_records", "Records that the view took in", ("topic",)
        )
        self._dropped = metrics.counter(
            "view_dropped_records", "Records that changed nothing: repeated, overtaken or too old"
        )
        self._unreadable = metrics.counter(
            "view_unreadable_records", "Records that could not be read and were left out"
        )
        self._repairs = metrics.counter(
            "view_repairs", "States written again because a lower one came last on its topic"
        )
        self._rebuilds = metrics.counter(
            "view_rebuilds", "Times that the view began again from nothing", ("reason",)
        )
        self._misses = metrics.counter(
            "view_misses",
            "Lookups of ids that were not in the view, by how they ended",
            ("outcome",),
        )

    def lag(self, records: int) -> None:
        """Note how far behind the view is."""
        self._lag.set(records)

    def applied(self, topic: str, records: int) -> None:
        """Note records taken in."""
        self._applied.labels(topic).inc(records)

    def dropped(self, records: int) -> None:
        """Note records that changed nothing."""
        self._dropped.inc(records)

    def unreadable(self, records: int) -> None:
        """Note records left out."""
        self._unreadable.inc(records)

    def repaired(self) -> None:
        """Note a state that was written again."""
        self._repairs.inc()

    def rebuilt(self, reason: Literal["new", "other_log", "offsets", "damaged"]) -> None:
        """Note a beginning from nothing."""
        self._rebuilds.labels(reason).inc()

    def missed(self, outcome: Literal["found", "absent", "behind"]) -> None:
        """Note how a lookup of an unknown id ended."""
        self._misses.labels(outcome).inc()
