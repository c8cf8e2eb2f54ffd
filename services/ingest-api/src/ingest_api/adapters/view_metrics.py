"""What the view tells of itself."""

from collections.abc import Mapping
from typing import Literal

from kartoteka_contracts.tasks import TaskKind, TaskStatus
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
        self._ended = metrics.counter(
            "tasks_ended",
            "Tasks that have ended since this replica's view had caught up; every replica counts "
            "all of them",
            ("kind", "status"),
        )
        self._runs_ended = metrics.counter(
            "reindex_runs_ended",
            "Reindex runs that have ended since this replica's view had caught up; every replica "
            "counts all of them",
            ("status",),
        )
        for status in TaskStatus:
            if status.is_end:
                self._runs_ended.labels(status)
                for kind in TaskKind:
                    self._ended.labels(kind, status)

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

    def ended(self, tasks: Mapping[tuple[TaskKind, TaskStatus], int]) -> None:
        """Note tasks that came to their end."""
        for (kind, status), count in tasks.items():
            self._ended.labels(kind, status).inc(count)
            if kind is TaskKind.REINDEX:
                self._runs_ended.labels(status).inc(count)

    def repaired(self) -> None:
        """Note a state that was written again."""
        self._repairs.inc()

    def rebuilt(self, reason: Literal["new", "other_log", "offsets", "damaged"]) -> None:
        """Note a beginning from nothing."""
        self._rebuilds.labels(reason).inc()

    def missed(self, outcome: Literal["found", "absent", "behind"]) -> None:
        """Note how a lookup of an unknown id ended."""
        self._misses.labels(outcome).inc()
