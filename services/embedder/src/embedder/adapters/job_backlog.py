"""The events of a topic that the consumer group has not processed yet, read beside it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CoordinatorLoadInProgressError, KafkaError
from aiokafka.structs import ConsumerRecord

from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.topics import JOB_TOPICS
from kartoteka_runtime.kafka import KafkaSettings, client_options
from kartoteka_runtime.logs import get_logger

__all__ = ["JobBacklog"]

_log = get_logger(__name__)

_CLIENT_ID: Final = "kartoteka-backlog"
_REQUEST_MS: Final = 10_000
_POLL_MS: Final = 1000
_SILENT_SECONDS: Final = 30.0
"""Without any record, although some must be there, after which Kafka counts as away."""
_TRIES: Final = 10
_PAUSE_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 5.0
_SIZE_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """What is not processed of one partition."""

    first: int
    end: int
    """The offset after the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clients:
    """A connection: what asks about topics and groups, and what reads."""

    admin: AIOKafkaAdminClient
    consumer: AIOKafkaConsumer

    @classmethod
    async def open(cls, kafka: KafkaSettings) -> Self:
        options = client_options(kafka)
        clients = cls(
            admin=AIOKafkaAdminClient(
                **options, client_id=_CLIENT_ID, request_timeout_ms=_REQUEST_MS
            ),
            consumer=AIOKafkaConsumer(
                **options,
                client_id=_CLIENT_ID,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                request_timeout_ms=_REQUEST_MS,
                fetch_max_wait_ms=100,
            ),
        )
        try:
            await clients.admin.start()
            await clients.consumer.start()
        except BaseException:
            await clients.close()
            raise
        return clients

    async def close(self) -> None:
        for client in (self.consumer.stop(), self.admin.close()):
            try:
                await asyncio.wait_for(client, _STOP_SECONDS)
            except (KafkaError, OSError, TimeoutError) as error:
                _log.warning("kafka_client_stop", reason=repr(error))


class JobBacklog:
    """Reads as nobody of the group, so it moves nothing of it.

    It connects when it is first asked, and anew after whatever failed, so it may live as long as
    its process; or it is entered for a while, as an asynchronous context manager.
    """

    def __init__(self, kafka: KafkaSettings, *, group: str) -> None:
        self._kafka = kafka
        self._group = group
        self._clients: _Clients | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        async with self._translated():
            await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Disconnect; bounded, whatever the broker does."""
        clients, self._clients = self._clients, None
        if clients is not None:
            await clients.close()

    async def size(self, topic: str) -> int:
        """Return how many events of a topic are not processed yet. Reads offsets only.

        What runs is among them. Transactions are not used here, so no offset is without a record.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        async with self._translated(), asyncio.timeout(_SIZE_SECONDS):
            ranges = await self._ranges(await self._open(), (topic,))
        return sum(found.end - found.first for found in ranges.values())

    async def oldest(self) -> datetime | None:
        """Return when the oldest unprocessed event was sent; None where there is none.

        Of each partition the first one counts: its records lie in the order of their arrival.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        async with self._translated():
            clients = await self._open()
            ranges = await self._ranges(clients)
            heads: dict[TopicPartition, int] = {}
            async for record in _records(clients.consumer, ranges, heads_only=True):
                heads.setdefault(_place(record), record.timestamp)
        first = min(heads.values(), default=None)
        return None if first is None else datetime.fromtimestamp(first / 1000, UTC)

    async def waiting(
        self, keys: Collection[str], *, topics: Sequence[str] = JOB_TOPICS
    ) -> frozenset[str]:
        """Return those of these keys of which at least one event is not processed yet.

        Reads all that is unprocessed, keeping nothing of it, until every key is found.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        wanted = {key.encode(): key for key in keys}
        found: set[str] = set()
        async with self._translated():
            clients = await self._open()
            async for record in _records(clients.consumer, await self._ranges(clients, topics)):
                if record.key in wanted:
                    found.add(wanted.pop(record.key))
                    if not wanted:
                        break
        return frozenset(found)

    async def _open(self) -> _Clients:
        async with self._opening:
            if self._clients is None:
                self._clients = await _Clients.open(self._kafka)
            return self._clients

    async def _ranges(
        self, clients: _Clients, topics: Sequence[str] = JOB_TOPICS
    ) -> dict[TopicPartition, _Range]:
        """Return where there is something unprocessed.

        Committed offsets come before the ends: what is moved on meanwhile, to the retry topic, is
        sent there before it is committed here, so it is found in one of them at least.
        """
        places = await _places(clients.admin, topics)
        committed = await self._committed(clients.admin, places)
        begins = await clients.consumer.beginning_offsets(places)
        ends = await clients.consumer.end_offsets(places)
        ranges = {
            # Where nothing was committed yet, the group will begin at the beginning.
            place: _Range(first=max(begins[place], committed.get(place, 0)), end=ends[place])
            for place in places
        }
        return {place: found for place, found in ranges.items() if found.first < found.end}

    async def _committed(
        self, admin: AIOKafkaAdminClient, places: list[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        failures = 0
        while True:
            try:
                found = await admin.list_consumer_group_offsets(self._group, partitions=places)
                # The client drops an error of the whole answer, which then has no partitions; one
                # without a commit is in it as -1.
                if len(found) < len(places):
                    raise CoordinatorLoadInProgressError(self._group)
            except KafkaError:
                failures += 1
                if failures == _TRIES:
                    raise
                # A broker that is new, or just started, has to find the group's coordinator first.
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return {place: one.offset for place, one in found.items() if one.offset >= 0}

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            servers = self._kafka.bootstrap_servers
            raise UnavailableError(
                "event_log_unavailable", f"Kafka at {servers} does not answer: {error!r}"
            ) from error


async def _places(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> list[TopicPartition]:
    described = await admin.describe_topics(list(topics))
    missing = [entry["topic"] for entry in described if entry["error_code"] != 0]
    if missing:
        raise UnavailableError(
            "event_log_unavailable",
            f"Kafka has no topics {', '.join(sorted(missing))}: run kartoteka-topics provision",
        )
    return [
        TopicPartition(entry["topic"], partition["partition"])
        for entry in described
        for partition in entry["partitions"]
    ]


async def _records(
    consumer: AIOKafkaConsumer,
    ranges: Mapping[TopicPartition, _Range],
    *,
    heads_only: bool = False,
) -> AsyncIterator[ConsumerRecord]:
    """Give the records of these ranges, or the first one of each."""
    consumer.assign(list(ranges))
    for place, found in ranges.items():
        consumer.seek(place, found.first)
    loop = asyncio.get_running_loop()
    heard, left = loop.time(), set(ranges)
    while left:
        fetched = await consumer.getmany(*left, timeout_ms=_POLL_MS)
        for place, records in fetched.items():
            heard = loop.time()
            for record in records:
                if record.offset < ranges[place].end:
                    yield record
            if heads_only and records:
                left.discard(place)
        for place in tuple(left):
            if await consumer.position(place) >= ranges[place].end:
                left.discard(place)
        if loop.time() - heard > _SILENT_SECONDS:
            raise UnavailableError(
                "event_log_unavailable", f"Kafka gives no records of {len(left)} partitions"
            )
        consumer.pause(*(consumer.assignment() - left))


def _place(record: ConsumerRecord) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)
