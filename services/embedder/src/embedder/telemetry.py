"""What a worker tells about itself in numbers. Labels are closed sets, never an id."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from embedder.domain.admission import Work, work_of
from embedder.domain.job import Job, RawRecord
from embedder.domain.outcome import (
    Cancelled,
    Continued,
    Deleted,
    Empty,
    EndedElsewhere,
    Failed,
    Indexed,
    Outcome,
    RunEnded,
    RunFailed,
    RunJoined,
    Superseded,
    Unchanged,
)
from embedder.domain.reading import Kill
from embedder.domain.reindex_verdict import Reason
from embedder.domain.window import Place
from embedder.ports import EventLog
from kartoteka_contracts.envelope import traced
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.reindex import RunCounts
from kartoteka_contracts.tasks import Stage
from kartoteka_runtime.clock import Clock, SystemClock
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.producer import Delivered
from kartoteka_runtime.tracing import origin

__all__ = [
    "DispatchMetrics",
    "IndexingMetrics",
    "OutageMetrics",
    "ParserMetrics",
    "PlanMetrics",
    "Pulse",
    "PulsingLog",
    "SettleMetrics",
    "StoreMetrics",
    "TracedLog",
]

_FRESHNESS: Final = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600)
"""Buckets for how long documents wait, in seconds: from one that meets an idle worker to a day."""

_OUTCOMES: Final[Mapping[type[Outcome], str]] = {
    Indexed: "succeeded",
    Deleted: "succeeded",
    RunEnded: "succeeded",
    Empty: "empty",
    Unchanged: "unchanged",
    Superseded: "superseded",
    RunJoined: "superseded",
    Cancelled: "cancelled",
    EndedElsewhere: "ended_elsewhere",
    Failed: "failed",
    RunFailed: "failed",
    Continued: "continued",
}
_RETRYING: Final = "retrying"
_UNREADABLE: Final = "unreadable"


class Pulse:
    """When something last went forward; the liveness probe asks it.

    A long document reports its stages here, so that slow is not taken for stuck.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._last = self._clock.monotonic()

    def beat(self) -> None:
        """Note progress."""
        self._last = self._clock.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last progress."""
        return self._clock.monotonic() - self._last


class PulsingLog:
    """An event log that notes every record as progress."""

    def __init__(self, log: EventLog, pulse: Pulse) -> None:
        self._log = log
        self._pulse = pulse

    async def send(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Delivered:
        """Send, and note progress once the broker has it; raises as the log does."""
        delivered = await self._log.send(topic, key=key, value=value, headers=headers)
        self._pulse.beat()
        return delivered

    def post(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Send without waiting, and note progress."""
        self._pulse.beat()
        self._log.post(topic, key=key, value=value, headers=headers)


class TracedLog:
    """An event log whose records carry the trace of the work that sends them."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def send(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Delivered:
        """Send; raises as the log does."""
        return await self._log.send(topic, key=key, value=value, headers=traced(headers, origin()))

    def post(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Send without waiting."""
        self._log.post(topic, key=key, value=value, headers=traced(headers, origin()))


class DispatchMetrics:
    """The dispatcher's own metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._seconds = metrics.histogram(
            "document_seconds", "Seconds from start to end of a document's work", ["work", "end"]
        )
        self._deliveries = metrics.counter(
            "deliveries", "Records delivered, by what became of them at the door", ["work", "fate"]
        )
        self.acknowledged = metrics.counter("acknowledged", "Offsets released to the commit")
        self.generations = metrics.counter("generations", "Rebalances that ended")
        self.lost = metrics.counter("lost_tasks", "Running tasks cancelled with their partition")
        self._admitted = metrics.gauge("admitted", "Records let in and not ended", ["work"])
        self._running = metrics.gauge("running", "Documents in flight", ["work"])
        self._held = metrics.gauge("held_retries", "Retries that wait for their time")
        self._unacknowledged = metrics.gauge(
            "unacknowledged", "Records delivered and not released", ["work"]
        )

    def came(self, work: Work, fate: str) -> None:
        """Count a delivery by what became of it at the door."""
        self._deliveries.labels(work, fate).inc()

    def ended(self, work: Work, end: str, seconds: float) -> None:
        """Note the end of a document's work here."""
        self._seconds.labels(work, end).observe(seconds)

    def observe(
        self,
        *,
        admitted: Callable[[Work], int],
        running: Callable[[Work], int],
        unacknowledged: Callable[[Work], int],
        held: Callable[[], int],
    ) -> None:
        """Read the gauges from these when they are scraped."""
        for work in Work:
            self._admitted.labels(work).set_function(partial(admitted, work))
            self._running.labels(work).set_function(partial(running, work))
            self._unacknowledged.labels(work).set_function(partial(unacknowledged, work))
        self._held.set_function(held)


class SettleMetrics:
    """What became of work that failed."""

    def __init__(self, metrics: Metrics) -> None:
        self._dead_letters = metrics.counter(
            "dead_letters", "Dead letters written, by reason", ["reason"]
        )
        self._retries = metrics.counter("retries", "Tries handed to the retry topic", ["reason"])
        self._in_a_row = metrics.gauge(
            "dead_letters_in_a_row", "Dead letters that may be the worker's fault, since a success"
        )
        self._attempts = metrics.counter(
            "attempts", "Tries that were settled, by what they came to", ["work", "outcome"]
        )
        for work in Work:
            for outcome in {*_OUTCOMES.values(), _RETRYING, _UNREADABLE}:
                self._attempts.labels(work, outcome)

    def settled(self, job: Job, outcome: Outcome) -> None:
        """Count a try that came to an outcome, once that is told."""
        self._attempts.labels(_work(job.record), _OUTCOMES[type(outcome)]).inc()

    def rejected(self, record: RawRecord) -> None:
        """Count a record that could not be read."""
        self._attempts.labels(_work(record), _UNREADABLE).inc()

    def buried(self, reason: str) -> None:
        """Count a dead letter."""
        self._dead_letters.labels(reason).inc()

    def postponed(self, job: Job, reason: str) -> None:
        """Count a retry, and the try that it follows."""
        self._retries.labels(reason).inc()
        self._attempts.labels(_work(job.record), _RETRYING).inc()

    def watch(self, in_a_row: Callable[[], int]) -> None:
        """Read the gauge from this when it is scraped."""
        self._in_a_row.set_function(in_a_row)


class OutageMetrics:
    """Which dependency is away."""

    def __init__(self, metrics: Metrics) -> None:
        self._outage = metrics.gauge("outage", "1 while a dependency is away", ["dependency"])

    def note(self, dependency: str, *, is_away: bool) -> None:
        """Set what a dependency is."""
        self._outage.labels(dependency).set(int(is_away))


class IndexingMetrics:
    """How long documents take: each stage of a try, and all of it, as who uploaded sees it."""

    def __init__(self, metrics: Metrics) -> None:
        self._stages = metrics.histogram(
            "stage_seconds",
            "Seconds that a try at a document spent in a stage, all of its batches together",
            ["stage"],
        )
        self._searchable = metrics.histogram(
            "searchable_seconds",
            "Seconds from when a document's work was asked for (accepted, or the run that indexes "
            "it anew) until a search finds it, by the topic of the last try; a retry of what is "
            "indexed anew is bulk",
            ["work"],
            buckets=_FRESHNESS,
        )
        for stage in Stage:
            self._stages.labels(stage)
        for work in (Work.INTERACTIVE, Work.BULK, Work.RETRY):
            self._searchable.labels(work)

    def tried(self, seconds: Mapping[str, float]) -> None:
        """Note the seconds of each stage that a try came to."""
        for stage, spent in seconds.items():
            self._stages.labels(Stage(stage)).observe(spent)

    def published(self, event: DocumentSubmitted, work: Work, now: datetime) -> None:
        """Note that a search finds a document's work from now on."""
        # The epoch of a reindexed or replayed version is when that was asked for, in microseconds;
        # its version may have been accepted months ago.
        again = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=event.epoch)
        asked = max(event.accepted_at, again)
        if work is Work.RETRY and event.epoch > 0:
            work = Work.BULK  # retries are those of uploads: somebody waits for them
        self._searchable.labels(work).observe(max(0.0, (now - asked).total_seconds()))


class ParserMetrics:
    """The processes that read documents."""

    def __init__(self, metrics: Metrics) -> None:
        self._kills = metrics.counter(
            "parser_kills", "Parser processes that ended before they had answered", ["reason"]
        )
        self._children = metrics.gauge("parser_children", "Parser processes that are up")
        for reason in Kill:
            self._kills.labels(reason)

    def killed(self, reason: Kill) -> None:
        """Count a process that ended without an answer."""
        self._kills.labels(reason).inc()

    def watch(self, children: Callable[[], int]) -> None:
        """Read the gauge from this when it is scraped."""
        self._children.set_function(children)


class StoreMetrics:
    """Bytes that come from outside."""

    def __init__(self, metrics: Metrics) -> None:
        self._scratch = metrics.gauge("scratch_bytes", "Bytes of bodies fetched and not yet read")
        self._read = metrics.counter("source_read_bytes", "Bytes read of the objects of sources")

    def read(self, size: int) -> None:
        """Count bytes of a source."""
        self._read.inc(size)

    def watch(self, scratch: Callable[[], int]) -> None:
        """Read the gauge from this when it is scraped."""
        self._scratch.set_function(scratch)


class PlanMetrics:
    """What reindex runs find."""

    def __init__(self, metrics: Metrics) -> None:
        self._planned = metrics.counter(
            "reindex_planned_documents",
            "Documents that planned runs have compared, by what is found: of unchanged, pending "
            "and failed_before ones nothing is done",
            ["why"],
        )
        for why in Reason:
            self._planned.labels(why)

    def planned(self, counts: RunCounts) -> None:
        """Count the documents of a plan."""
        for why in Reason:
            self._planned.labels(why).inc(getattr(counts, why))


def _work(record: RawRecord) -> Work:
    return work_of(Place(record.origin.topic, record.origin.partition))
