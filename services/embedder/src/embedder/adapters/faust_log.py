"""The topics of work, read by Faust: who owns which partition, what is fetched and committed.

Faust out of the box loses records: it acknowledges whatever leaves the loop body, by an exception
too, and commits over a running head. So it is reduced to group membership, fetching and committing:
events are taken un-acknowledged, and acknowledged later, in order, by whoever took them.
"""

import asyncio
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import faust
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from faust import streams
from mode.supervisors import CrashingSupervisor

from embedder.domain.admission import WORK_TOPICS
from embedder.domain.delivery import Delivery
from embedder.domain.job import Origin, RawRecord
from embedder.domain.window import Place
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.topics import TOPICS
from kartoteka_runtime.kafka import KafkaSettings, client_options, ssl_context
from kartoteka_runtime.logs import get_logger

__all__ = ["FaustLog", "GroupOptions", "LogCrashedError", "Sink"]

_log = get_logger(__name__)

_MAX_POLL_INTERVAL_SECONDS: Final = 86_400
"""Back-pressure on all partitions for longer makes a member leave and never come back, so the
limit is out of reach, and liveness checks do its work."""

_MIN_REQUEST_TIMEOUT_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0


class LogCrashedError(Exception):
    """Faust ended by itself; the process must be started anew."""


class Sink(Protocol):
    """Who takes the records."""

    def suspend(self) -> None:
        """Partitions are about to be shared out again."""
        ...

    def turn(self, generation: int, places: Collection[Place]) -> None:
        """A generation begins with these partitions; nothing of it was delivered yet."""
        ...

    async def submit(self, delivery: Delivery) -> None:
        """Take a record; waiting here pauses its topic. Must not raise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOptions:
    """How to take part in the group. Times are in seconds."""

    group: str
    session_timeout: float = 15.0
    heartbeat_interval: float = 3.0
    rebalance_timeout: float = 60.0
    commit_interval: float = 0.5
    max_poll_records: int = 16


class FaustLog:
    """The topics of work, as one member of the consumer group."""

    def __init__(self, kafka: KafkaSettings, options: GroupOptions, sink: Sink) -> None:
        _require_extension()
        self._kafka = kafka
        self._sink = sink
        self._rebalances = -1
        self._joined = asyncio.Event()
        self._app = faust.App(options.group, **_app_options(kafka, options))
        self._app.on_partitions_revoked.connect(self._on_revoked)
        self._app.on_rebalance_complete.connect(self._on_shared_out)
        for name in WORK_TOPICS:
            self._read(name)

    @property
    def is_outside(self) -> bool:
        """Whether this worker has no valid place in the group now."""
        return bool(self._app.rebalancing) or self._rebalances < 0

    async def start(self) -> None:
        """Join the group; deliveries begin once partitions are assigned.

        Raises:
            KafkaError: the broker went away meanwhile.
        """
        await self._app.start()

    async def joined(self) -> None:
        """Wait until partitions, or none, were assigned for the first time."""
        await self._joined.wait()

    async def crashed(self) -> None:
        """Wait until Faust has ended by itself.

        Raises:
            LogCrashedError: always, in the end.
        """
        await self._app._crashed.wait()  # noqa: SLF001 - mode gives no other way to wait for it
        raise LogCrashedError("the Kafka consumer ended by itself") from self._app.crash_reason

    def pause(self) -> None:
        """Fetch nothing more; membership goes on."""
        if not self._joined.is_set():
            return  # a stop in the middle of a start: there is no consumer to ask yet
        assignment = self._app.consumer.assignment()
        if assignment:
            self._app.consumer.pause_partitions(assignment)

    async def commit(self) -> None:
        """Commit what was acknowledged."""
        await self._app.consumer.commit()

    async def stop(self) -> None:
        """Leave the group; bounded, whatever the broker does."""
        try:
            await asyncio.wait_for(self._app.stop(), _STOP_SECONDS)
        except TimeoutError:
            _log.warning("faust_stop_late", seconds=_STOP_SECONDS)

    async def broker_answers(self) -> bool:
        """Return whether a fresh connection to the broker is answered."""
        client = AIOKafkaClient(**client_options(self._kafka), request_timeout_ms=5000)
        try:
            await client.bootstrap()
        except (KafkaError, OSError):
            return False
        finally:
            await client.close()
        return True

    async def reach(self) -> None:
        """Return when the broker answers.

        Raises:
            UnavailableError: it does not.
        """
        if not await self.broker_answers():
            raise UnavailableError(
                "event_log_unavailable",
                f"no answer from Kafka at {self._kafka.bootstrap_servers}",
            )

    # --- Faust's side ---------------------------------------------------------------------------

    def _read(self, name: str) -> None:
        topic = self._app.topic(
            name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )

        async def actor(stream: Any) -> None:
            async for event in stream.noack().events():
                await self._sink.submit(self._delivery(stream, event))

        self._app.agent(topic, name=name, concurrency=1, supervisor_strategy=CrashingSupervisor)(
            actor
        )

    def _delivery(self, stream: Any, event: Any) -> Delivery:
        message = event.message
        record = RawRecord(
            origin=Origin(topic=message.topic, partition=message.partition, offset=message.offset),
            key=message.key,
            value=message.value,
            headers=_headers(message.headers),
        )
        return Delivery(
            record=record,
            generation=message.generation_id,
            acknowledge=self._acknowledgement(stream, event),
        )

    def _acknowledgement(self, stream: Any, event: Any) -> Callable[[], Awaitable[None]]:
        async def acknowledge() -> None:
            # Faust would file an acknowledgement of a past generation under the partition, where
            # it corrupts a later commit. The count moves as soon as a rebalance begins, before
            # the generation does.
            is_current = (
                event.message.generation_id == self._app.consumer_generation_id
                and self._app.rebalancing_count == self._rebalances
            )
            if is_current:
                await stream.ack(event)

        return acknowledge

    async def _on_revoked(self, *_args: Any, **_more: Any) -> None:
        self._sink.suspend()

    async def _on_shared_out(self, *_args: Any, **_more: Any) -> None:
        # Comes before the flow is resumed, hence before the first record of the generation.
        self._rebalances = self._app.rebalancing_count
        places = frozenset(
            Place(tp.topic, tp.partition)
            for tp in self._app.consumer.assignment()
            if tp.topic in WORK_TOPICS
        )
        generation = self._app.consumer_generation_id
        _log.info("partitions_assigned", generation=generation, partitions=len(places))
        self._sink.turn(generation, places)
        self._joined.set()


def _require_extension() -> None:
    # The pure-Python streams acknowledge what they skip, which the built ones do not.
    if getattr(streams, "_CStreamIterator", None) is None:
        raise RuntimeError(
            "faust-streaming must run with its built extension: install its wheel, unset NO_CYTHON"
        )


def _app_options(kafka: KafkaSettings, options: GroupOptions) -> dict[str, Any]:
    servers = [part.strip() for part in kafka.bootstrap_servers.split(",")]
    partitions = max(TOPICS[name].partition_count(kafka.job_partitions) for name in WORK_TOPICS)
    fetched = partitions * options.max_poll_records
    return {
        "broker": ";".join(f"kafka://{server}" for server in servers),
        "broker_credentials": _credentials(kafka),
        "broker_client_id": options.group,
        "broker_session_timeout": options.session_timeout,
        "broker_heartbeat_interval": options.heartbeat_interval,
        "broker_rebalance_timeout": options.rebalance_timeout,
        "broker_request_timeout": max(_MIN_REQUEST_TIMEOUT_SECONDS, options.session_timeout),
        "broker_max_poll_interval": _MAX_POLL_INTERVAL_SECONDS,
        "broker_max_poll_records": options.max_poll_records,
        "broker_commit_interval": options.commit_interval,
        "broker_commit_every": 10_000,
        "consumer_auto_offset_reset": "earliest",
        # A full channel blocks the fetcher for all topics: it must never fill.
        "stream_buffer_maxsize": max(4096, 5 * fetched),
        "stream_wait_empty": False,
        "table_standby_replicas": 1,  # 0 would switch the co-partitioning assignor off
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "topic_partitions": kafka.job_partitions,
        "producer_request_timeout": 30,
        "agent_supervisor": CrashingSupervisor,
        "processing_guarantee": "at_least_once",
        "store": "memory://",
        "web_enabled": False,
        "datadir": tempfile.gettempdir(),  # unused without tables, and never written
        "autodiscover": False,
    }


def _credentials(kafka: KafkaSettings) -> Any:
    context: ssl.SSLContext | None = ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL") and kafka.sasl_password is not None:
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


def _headers(headers: Any) -> tuple[tuple[str, bytes], ...]:
    pairs: Sequence[tuple[str, bytes | None]] = (
        tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers or ())
    )
    return tuple((name, value) for name, value in pairs if value is not None)
