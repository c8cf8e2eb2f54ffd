"""What a worker tells about itself in numbers. Labels are closed sets, never an id."""

from collections.abc import Callable, Sequence
from functools import partial

from embedder.domain.admission import Work
from embedder.ports import EventLog
from kartoteka_runtime.clock import Clock, SystemClock
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.producer import Delivered

__all__ = ["DispatchMetrics", "OutageMetrics", "Pulse", "PulsingLog", "SettleMetrics"]


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

    def buried(self, reason: str) -> None:
        """Count a dead letter."""
        self._dead_letters.labels(reason).inc()

    def postponed(self, reason: str) -> None:
        """Count a retry."""
        self._retries.labels(reason).inc()

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
