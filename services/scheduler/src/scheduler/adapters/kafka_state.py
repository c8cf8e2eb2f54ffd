"""The compacted topics that a scheduler reads, each from its beginning to its present end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSeen
from kartoteka_contracts.codec import decode
from kartoteka_contracts.errors import EventError, UnavailableError
from kartoteka_contracts.reindex import SlotsEmitted
from kartoteka_contracts.wire import Event
from kartoteka_runtime.kafka import KafkaSettings, client_options
from kartoteka_runtime.logs import get_logger
from scheduler.domain.register import Register

__all__ = ["KafkaState"]

_log = get_logger(__name__)

_CABINETS: Final = "cabinets"
_STATE: Final = "scheduler.state"
_REQUEST_MS: Final = 10_000
_POLL_MS: Final = 1000
_SILENT_SECONDS: Final = 30.0
"""Without progress, although some must come, after which Kafka counts as away."""
_STOP_SECONDS: Final = 5.0
_FETCH_BYTES: Final = 256 * 1024
"""Of each partition at once: what is read is kept in a form of its own, and small."""
_RECORDS: Final = 500
"""Decoded in a row before others of the process get a turn."""


class KafkaState:
    """Reads as nobody of a group, so there is nothing to commit and nothing to wait for."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    async def watermark(self) -> datetime | None:
        """Return up to when all slots are emitted; None where nothing ever was.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        found: datetime | None = None
        async for event in self._events(_STATE):
            if isinstance(event, SlotsEmitted):
                found = event.up_to
        return found

    async def cabinets(self) -> Register:
        """Return all cabinets.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        register = Register()
        async for event in self._events(_CABINETS):
            match event:
                case CabinetConfigured():
                    register.configured(event)
                case CabinetSeen():
                    register.seen(event)
                case _:
                    pass
        return register

    async def _events(self, topic: str) -> AsyncIterator[Event]:
        """Give every event of a topic; what cannot be read is said and left out."""
        unreadable = 0
        async with self._translated(), self._reader() as consumer:
            async for record in _records(consumer, await self._places(topic)):
                if record.value is None:  # a tombstone
                    continue
                try:
                    event = decode(record.value)
                except EventError as error:
                    unreadable += 1
                    if unreadable == 1:
                        place = f"{topic}[{record.partition}]@{record.offset}"
                        _log.warning("event_unreadable", place=place, reason=str(error))
                    continue
                yield event
        if unreadable:
            _log.warning("events_unreadable", topic=topic, count=unreadable)

    async def _places(self, topic: str) -> list[TopicPartition]:
        client = AIOKafkaAdminClient(
            **client_options(self._kafka),
            client_id="kartoteka-scheduler",
            request_timeout_ms=_REQUEST_MS,
        )
        try:
            await client.start()
            # All are asked for: naming one makes a broker with auto.create.topics.enable create it.
            described = await client.describe_topics()
        finally:
            await client.close()
        for entry in described:
            if entry["topic"] == topic and entry["error_code"] == 0:
                numbers = sorted(partition["partition"] for partition in entry["partitions"])
                return [TopicPartition(topic, number) for number in numbers]
        raise UnavailableError(
            "event_log_unavailable", f"Kafka has no topic {topic}: run kartoteka-topics provision"
        )

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **client_options(self._kafka),
            client_id="kartoteka-scheduler",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=_REQUEST_MS,
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            try:
                await asyncio.wait_for(consumer.stop(), _STOP_SECONDS)
            except (KafkaError, OSError, TimeoutError) as error:
                _log.warning("kafka_client_stop", reason=repr(error))

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (KafkaError, OSError, TimeoutError) as error:
            raise UnavailableError(
                "event_log_unavailable",
                f"Kafka at {self._kafka.bootstrap_servers} does not answer: {error!r}",
            ) from error


async def _records(
    consumer: AIOKafkaConsumer, places: list[TopicPartition]
) -> AsyncIterator[ConsumerRecord]:
    """Give the records up to the offsets at which the partitions end now."""
    ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
    consumer.assign(places)
    await consumer.seek_to_beginning()
    loop = asyncio.get_running_loop()
    left, heard = dict(ends), loop.time()
    positions = dict.fromkeys(ends, -1)
    while True:
        for place in tuple(left):
            # Not counted by records: compaction leaves holes, also at the end.
            position = await consumer.position(place)
            if position != positions[place]:
                positions[place], heard = position, loop.time()
            if position >= left[place]:
                del left[place]
        if not left:
            return
        if loop.time() - heard > _SILENT_SECONDS:
            raise UnavailableError(
                "event_log_unavailable", f"Kafka gives no records of {sorted(left)}"
            )
        consumer.pause(*(consumer.assignment() - left.keys()))
        fetched = await consumer.getmany(*left, timeout_ms=_POLL_MS, max_records=_RECORDS)
        for place, records in fetched.items():
            for record in records:
                if record.offset < ends[place]:
                    yield record
        await asyncio.sleep(0)
