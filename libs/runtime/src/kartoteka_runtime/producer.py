"""Produce to Kafka, and know in bounded time what became of it.

A record that was given up (``event_log_unavailable``) may still land later: it may lie in the
broker's socket already, and aiokafka keeps trying for as long as its producer lives. So an event
carries an id that is derived from what it says, and whoever reads it takes a repetition for one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from pydantic import Field, model_validator

from kartoteka_contracts.errors import RequestError, UnavailableError
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.breaker import Breaker
from kartoteka_runtime.clock import Clock, SystemClock
from kartoteka_runtime.env import Fragment
from kartoteka_runtime.kafka import KafkaSettings, client_options
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.producer_link import Ack, Link
from kartoteka_runtime.producer_metrics import ProducerMetrics

__all__ = ["Delivered", "Headers", "Producer", "ProducerSettings"]

Headers = Sequence[tuple[str, bytes]]

_log = get_logger(__name__)

_STEADY_SECONDS: Final = 10.0
"""A link that lived as long was no failure: the next one is made without delay."""
_RETIRE_SECONDS: Final = 1.0


class ProducerSettings(Fragment):
    """When a send is given up."""

    prefix: ClassVar[str] = "PRODUCER_"

    ack_timeout: float = Field(default=4.5, gt=0, le=120)
    """Seconds from the call until a record without acknowledgement is given up."""
    request_timeout: float = Field(default=10.0, gt=0, le=120)
    """Seconds until a request without answer makes the client connect anew; not below
    PRODUCER_ACK_TIMEOUT."""
    max_in_flight: int = Field(default=1000, ge=1, le=100_000)
    """Records under way at once; one more is refused as overloaded, so memory stays bounded."""
    breaker_failures: int = Field(default=3, ge=1)
    """Timeouts in a row after which sends fail at once."""
    probe_interval: float = Field(default=1.0, gt=0)
    """Seconds between single tries while sends fail at once."""
    rebuild_after: float = Field(default=30.0, gt=0)
    """Seconds without any acknowledgement, while sends fail at once, after which the client is
    replaced. What it still holds is dropped; its senders were told so long before."""
    linger: float = Field(default=0.005, ge=0, le=1)
    """Seconds that a record waits for others to share its batch."""
    stop_timeout: float = Field(default=5.0, gt=0)
    """Seconds that stopping waits for acknowledgements; later ones are given up."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.request_timeout < self.ack_timeout:
            raise ValueError(
                "PRODUCER_REQUEST_TIMEOUT must not be below PRODUCER_ACK_TIMEOUT: a slow broker "
                "would be left before it is given up"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Where an acknowledged record lies."""

    topic: str
    partition: int
    offset: int
    """Of the record; -1 where the broker knew it as a repetition and no longer knew the place."""


class Producer:
    """Sends with acks=all, idempotently, and never waits without bound.

    One for each process. It belongs to the event loop that called :meth:`start`.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ProducerSettings,
        *,
        client_id: str,
        clock: Clock | None = None,
        metrics: ProducerMetrics | None = None,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._client_id = client_id
        self._clock = clock if clock is not None else SystemClock()
        self._metrics = metrics if metrics is not None else ProducerMetrics.unregistered()
        self._breaker = Breaker(
            failures=settings.breaker_failures,
            probe_seconds=settings.probe_interval,
            clock=self._clock,
        )
        self._backoff = Backoff(base=0.1, limit=5.0)
        self._link: Link | None = None
        self._connected = asyncio.Event()
        self._hopeful_at = 0.0
        self._in_flight = 0
        self._why = "it is not started"
        self._keeper: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def trouble(self) -> str | None:
        """Why it cannot send now; None when it can."""
        if self._stopping:
            return "Kafka producer: it is stopping"
        if self._link is None:
            return f"Kafka producer: not connected to {self._servers}: {self._why}"
        if self._breaker.is_open:
            return f"Kafka producer: {self._servers} has stopped acknowledging"
        return None

    async def wait_connected(self) -> None:
        """Return once it is connected: for a start that waits before it calls itself ready."""
        await self._connected.wait()

    @property
    def in_flight(self) -> int:
        """Records under way, given-up ones included as long as they may still be sent."""
        return self._in_flight

    async def start(self) -> None:
        """Begin to connect, in the background, for as long as it takes. Never raises.

        A broker that is away shows in :attr:`trouble`, and so do TLS files that cannot be read.
        """
        if self._keeper is None:
            self._stopping = False
            self._connected.clear()
            self._keeper = asyncio.create_task(self._keep(), name="kafka-producer")

    async def stop(self) -> None:
        """Refuse new records, wait ``stop_timeout`` for those under way, disconnect.

        Returns within ``stop_timeout`` and a few seconds, also when the broker is away.
        """
        self._stopping = True
        deadline = self._clock.monotonic() + self._settings.stop_timeout
        await self._drain_posts()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None
        link, self._link = self._link, None
        self._connected.set()  # whoever waits for a link is told that none will come
        if link is not None:
            await link.close(max(0.0, deadline - self._clock.monotonic()))
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def send(
        self, topic: str, *, key: str, value: bytes | None, headers: Headers = ()
    ) -> Delivered:
        """Send one record and wait until all in-sync replicas have it.

        Cancelling the call does not unsend the record.

        Args:
            topic: where to.
            key: equal keys go to the same partition, in the order of the calls.
            value: None is a tombstone.
            headers: name and value of each.

        Raises:
            UnavailableError: ``event_log_unavailable``: no acknowledgement in time, or none is to
                be hoped for; the outcome is unknown. ``overloaded``: too many records are under
                way; this one was not sent. ``shutting_down``: likewise.
            RequestError: ``body_too_large``: Kafka takes no record of this size.
        """
        self._admit(self._settings.max_in_flight)
        return await self._admitted(topic, key, value, headers)

    def post(self, topic: str, *, key: str, value: bytes, headers: Headers = ()) -> None:
        """Send without waiting, best effort.

        Dropped, and counted as such, while the producer has trouble or half of the places for
        records under way are taken: the other half is kept for records that somebody waits for.
        """
        places = max(1, self._settings.max_in_flight // 2)
        if self.trouble is not None or self._in_flight >= places:
            self._metrics.sends.labels(outcome="dropped").inc()
            return
        self._admit(places)
        task = asyncio.create_task(self._post(topic, key, value, headers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, topic: str, key: str, value: bytes, headers: Headers) -> None:
        try:
            await self._admitted(topic, key, value, headers)
        except (UnavailableError, RequestError) as error:
            _log.debug("post_dropped", topic=topic, code=error.code)

    async def _admitted(
        self, topic: str, key: str, value: bytes | None, headers: Headers
    ) -> Delivered:
        began = self._clock.monotonic()
        try:
            delivered = await self._deliver(topic, key, value, headers)
        except (UnavailableError, RequestError) as error:
            self._metrics.sends.labels(outcome=error.code).inc()
            raise
        self._metrics.sends.labels(outcome="delivered").inc()
        self._metrics.ack_seconds.observe(self._clock.monotonic() - began)
        return delivered

    def _admit(self, limit: int) -> None:
        """Take a place among the records under way, or refuse at once.

        The place is given back where the acknowledgement is settled, or by whoever gets none.
        """
        if self._stopping:
            raise UnavailableError("shutting_down")
        if not self._breaker.admits():
            raise UnavailableError(
                "event_log_unavailable",
                "Kafka has stopped acknowledging; this event was not sent",
                retry_after=max(1.0, self._breaker.retry_after),
            )
        if self._in_flight >= limit:
            raise UnavailableError("overloaded", f"{limit} events are under way to Kafka")
        self._in_flight += 1

    async def _deliver(
        self, topic: str, key: str, value: bytes | None, headers: Headers
    ) -> Delivered:
        deadline = asyncio.get_running_loop().time() + self._settings.ack_timeout
        try:
            ack = await self._enqueue(deadline, topic, key, value, headers)
        except BaseException:
            self._in_flight -= 1
            raise
        remaining = deadline - asyncio.get_running_loop().time()
        # Not awaited itself: the record may still be delivered, or dropped with its link.
        await asyncio.wait([ack], timeout=max(0.0, remaining))
        if not ack.done():
            raise self._timed_out(topic)
        error = ack.exception()
        if error is not None:
            raise _refused(topic, error) from error
        metadata = ack.result()
        return Delivered(topic=metadata.topic, partition=metadata.partition, offset=metadata.offset)

    async def _enqueue(
        self, deadline: float, topic: str, key: str, value: bytes | None, headers: Headers
    ) -> Ack:
        try:
            async with asyncio.timeout_at(deadline):
                await self._connected.wait()
                link = self._link
                if link is None:
                    raise UnavailableError("event_log_unavailable", self.trouble)
                return await link.enqueue(topic, key.encode(), value, list(headers))
        except TimeoutError:
            raise self._timed_out(topic) from None
        except MessageSizeTooLargeError as error:
            raise RequestError(
                "body_too_large", f"the event does not fit Kafka: {error}"
            ) from error
        except KafkaError as error:
            raise UnavailableError(
                "event_log_unavailable", f"an event of {topic} cannot be sent: {error!r}"
            ) from error

    def _timed_out(self, topic: str) -> UnavailableError:
        was_open = self._breaker.is_open
        self._breaker.failed()
        if self._breaker.is_open and not was_open:
            self._hopeful_at = self._clock.monotonic()
            _log.warning("producer_breaker_opened", servers=self._servers, topic=topic)
        unknown = self._link is not None and not self._link.knows(topic)
        cause = "has no metadata of" if unknown else "did not acknowledge an event of"
        return UnavailableError(
            "event_log_unavailable", f"Kafka {cause} {topic} in {self._settings.ack_timeout:g} s"
        )

    def _on_settled(self, ack: Ack) -> None:
        self._in_flight -= 1
        if ack.exception() is None:
            self._hopeful_at = self._clock.monotonic()
            self._close_breaker()

    def _close_breaker(self) -> None:
        if self._breaker.is_open:
            _log.info("producer_breaker_closed", servers=self._servers)
        self._breaker.succeeded()

    # The keeper: one task that always has a working link, or is about to make one.

    async def _keep(self) -> None:
        failures = 0
        while True:
            try:
                lived = await self._live_once()
                failures = 0 if lived >= _STEADY_SECONDS else failures + 1
            except (KafkaError, OSError, TimeoutError) as error:
                failures += 1
                self._connection_failed(error)
            except Exception as error:  # noqa: BLE001 - whatever a vendor raises, try again
                failures += 1
                self._connection_failed(error)
                _log.exception("producer_failed")
            if failures:
                await asyncio.sleep(self._backoff.delay(failures - 1))

    def _connection_failed(self, error: Exception) -> None:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if why != self._why:  # an outage of hours is one line
            _log.warning("producer_not_connected", servers=self._servers, error=why)
        self._why = why

    async def _live_once(self) -> float:
        """Connect, serve until the link must be replaced; return the seconds that it lived."""
        link = await Link.connect(
            {**client_options(self._kafka), "client_id": self._client_id},
            linger=self._settings.linger,
            request_timeout=self._settings.request_timeout,
            connect_timeout=self._settings.request_timeout,
            on_settled=self._on_settled,
        )
        began = self._clock.monotonic()
        self._link = link
        self._connected.set()
        self._close_breaker()
        _log.info("producer_connected", servers=self._servers)
        self._why = await self._watch(link)
        self._link = None
        self._connected.clear()
        self._metrics.rebuilds.inc()
        _log.warning("producer_replaced", reason=self._why, given_up=len(link.pending))
        task = asyncio.create_task(link.close(_RETIRE_SECONDS))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self._clock.monotonic() - began

    async def _watch(self, link: Link) -> str:
        """Return why the link must be replaced. While the breaker is open, look for the broker."""
        while True:
            try:
                async with asyncio.timeout(self._settings.probe_interval):
                    await link.spoilt.wait()
            except TimeoutError:
                pass
            else:
                return link.reason
            if not self._breaker.is_open:
                continue
            if self._clock.monotonic() - self._hopeful_at > self._settings.rebuild_after:
                return f"no acknowledgement for {self._settings.rebuild_after:g} s"
            # Records that it still holds are the probe: the first to be acknowledged closes the
            # breaker. Without any, and without traffic, somebody must ask.
            if not link.pending and await self._answers(link):
                self._close_breaker()

    async def _answers(self, link: Link) -> bool:
        try:
            async with asyncio.timeout(self._settings.ack_timeout):
                return await link.refresh()
        except (KafkaError, TimeoutError):
            return False

    async def _drain_posts(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.stop_timeout)

    @property
    def _servers(self) -> str:
        return self._kafka.bootstrap_servers


def _refused(topic: str, error: BaseException) -> UnavailableError | RequestError:
    if isinstance(error, MessageSizeTooLargeError):
        return RequestError("body_too_large", f"an event of {topic} does not fit Kafka: {error}")
    return UnavailableError(
        "event_log_unavailable", f"Kafka refused an event of {topic}: {error!r}"
    )
