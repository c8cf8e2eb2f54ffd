"""The events of the job topics that the consumer group has not processed yet, read beside it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.topics import JOB_TOPICS
from kartoteka_runtime.kafka import KafkaSettings, client_options
from kartoteka_runtime.logs import get_logger

__all__ = ["JobBacklog"]

_log = get_logger(__name__)

_REQUEST_MS: Final = 10_000
_POLL_MS: Final = 1000
_SILENT_SECONDS: Final = 30.0
"""Without any record, although some must be there, after which Kafka counts as away."""
_TRIES: Final = 10
_PAUSE_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """What is not processed of one partition."""

    first: int
    end: int
    """The offset after the last."""


class JobBacklog:
    """Reads as nobody of the group, so it moves nothing of it. An asynchronous context manager."""

    def __init__(self, kafka: KafkaSettings, *, group: str) -> None:
        options = client_options(kafka)
        self._group = group
        self._servers = kafka.bootstrap_servers
        self._admin = AIOKafkaAdminClient(
            **options, client_id="kartoteka-reconcile", request_timeout_ms=_REQUEST_MS
        )
        self._consumer = AIOKafkaConsumer(
            **options,
            client_id="kartoteka-reconcile",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=_REQUEST_MS,
            fetch_max_wait_ms=100,
        )

    async def __aenter__(self) -> Self:
        try:
            async with self._translated():
                await self._admin.start()
                await self._consumer.start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def oldest(self) -> datetime | None:
        """Return when the oldest unprocessed event was sent; None where there is none.

        Of each partition the first one counts: its records lie in the order of their arrival.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        async with self._translated():
            ranges = await self._ranges()
            heads: dict[TopicPartition, int] = {}
            async for record in self._records(ranges, heads_only=True):
                heads.setdefault(_place(record), record.timestamp)
        first = min(heads.values(), default=None)
        return None if first is None else datetime.fromtimestamp(first / 1000, UTC)

    async def waiting(self, keys: Collection[str]) -> frozenset[str]:
        """Return those of these keys of which at least one event is not processed yet.

        Reads all that is unprocessed, keeping nothing of it, until every key is found.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        wanted = {key.encode(): key for key in keys}
        found: set[str] = set()
        async with self._translated():
            async for record in self._records(await self._ranges()):
                if record.key in wanted:
                    found.add(wanted.pop(record.key))
                    if not wanted:
                        break
        return frozenset(found)

    async def _ranges(self) -> dict[TopicPartition, _Range]:
        """Return where there is something unprocessed.

        Committed offsets come before the ends: what is moved on meanwhile, to the retry topic, is
        sent there before it is committed here, so it is found in one of them at least.
        """
        places = await self._places()
        committed = await self._committed()
        begins = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        ranges = {
            # Where nothing was committed yet, the group will begin at the beginning.
            place: _Range(first=max(begins[place], committed.get(place, 0)), end=ends[place])
            for place in places
        }
        return {place: found for place, found in ranges.items() if found.first < found.end}

    async def _places(self) -> list[TopicPartition]:
        described = await self._admin.describe_topics(list(JOB_TOPICS))
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

    async def _committed(self) -> Mapping[TopicPartition, int]:
        failures = 0
        while True:
            try:
                found = await self._admin.list_consumer_group_offsets(self._group)
            except KafkaError:
                failures += 1
                if failures == _TRIES:
                    raise
                # A broker that is new, or just started, has to find the group's coordinator first.
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return {place: one.offset for place, one in found.items() if one.offset >= 0}

    async def _records(
        self, ranges: Mapping[TopicPartition, _Range], *, heads_only: bool = False
    ) -> AsyncIterator[ConsumerRecord]:
        """Give the records of these ranges, or the first one of each."""
        self._consumer.assign(list(ranges))
        for place, found in ranges.items():
            self._consumer.seek(place, found.first)
        loop = asyncio.get_running_loop()
        heard, left = loop.time(), set(ranges)
        while left:
            fetched = await self._consumer.getmany(*left, timeout_ms=_POLL_MS)
            for place, records in fetched.items():
                heard = loop.time()
                for record in records:
                    if record.offset < ranges[place].end:
                        yield record
                if heads_only and records:
                    left.discard(place)
            for place in tuple(left):
                if await self._consumer.position(place) >= ranges[place].end:
                    left.discard(place)
            if loop.time() - heard > _SILENT_SECONDS:
                raise UnavailableError(
                    "event_log_unavailable", f"Kafka gives no records of {len(left)} partitions"
                )
            self._consumer.pause(*(self._consumer.assignment() - left))

    async def _stop(self) -> None:
        for client in (self._consumer.stop(), self._admin.close()):
            try:
                await asyncio.wait_for(client, _STOP_SECONDS)
            except (KafkaError, OSError, TimeoutError) as error:
                _log.warning("kafka_client_stop", reason=repr(error))

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (KafkaError, OSError, TimeoutError) as error:
            raise UnavailableError(
                "event_log_unavailable", f"Kafka at {self._servers} does not answer: {error!r}"
            ) from error


def _place(record: ConsumerRecord) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)
