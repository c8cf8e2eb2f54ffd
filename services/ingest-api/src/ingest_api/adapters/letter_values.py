"""The raw values of dead letters, read from Kafka where they lie."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from ingest_api.adapters import log_reader
from ingest_api.domain.dead_letter import LetterId
from ingest_api.letter_ports import RawLetter
from kartoteka_contracts.errors import UnavailableError
from kartoteka_runtime.kafka import KafkaSettings, client_options

__all__ = ["KafkaLetterValues"]

_TOPIC: Final = "documents.dlq"
_CLIENT: Final = "kartoteka-dead-letters"
_SECONDS: Final = 5.0
"""For the connection, and for each letter."""


class KafkaLetterValues:
    """Opens a connection for each use: letters are read by people, not all the time."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    @asynccontextmanager
    async def open(self) -> AsyncIterator["_Reader"]:
        """Connect.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        consumer = log_reader.consumer(client_options(self._kafka), _CLIENT)
        try:
            try:
                async with asyncio.timeout(_SECONDS):
                    await consumer.start()
            except (KafkaError, TimeoutError) as error:
                raise _away() from error
            yield _Reader(consumer)
        finally:
            await log_reader.end(consumer)


class _Reader:
    """An open connection, for one caller at a time."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._bounds: dict[TopicPartition, tuple[int, int]] = {}

    async def read(self, letter_id: LetterId) -> RawLetter | None:
        """Return a letter; None where the topic has none at that place.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        place = TopicPartition(_TOPIC, letter_id.partition)
        try:
            async with asyncio.timeout(_SECONDS):
                if not await self._holds(place, letter_id.offset):
                    return None
                if self._consumer.assignment() != {place}:
                    self._consumer.assign([place])
                    self._consumer.seek(place, letter_id.offset)
                elif await self._consumer.position(place) != letter_id.offset:
                    # Letters in a row are not fetched one by one.
                    self._consumer.seek(place, letter_id.offset)
                record = await self._consumer.getone(place)
        except OffsetOutOfRangeError:
            return None
        except (KafkaError, TimeoutError) as error:
            raise _away() from error
        if record.offset != letter_id.offset:
            return None
        return RawLetter(value=record.value or b"", headers=tuple(record.headers))

    async def _holds(self, place: TopicPartition, offset: int) -> bool:
        """Whether the topic has such a place; asking for another would wait for it to come."""
        bounds = self._bounds.get(place)
        if bounds is None or offset >= bounds[1]:
            begins = await self._consumer.beginning_offsets([place])
            ends = await self._consumer.end_offsets([place])
            bounds = self._bounds[place] = (begins[place], ends[place])
        return bounds[0] <= offset < bounds[1]


def _away() -> UnavailableError:
    return UnavailableError(
        "event_log_unavailable", "Kafka does not hand out the dead letter's value"
    )
