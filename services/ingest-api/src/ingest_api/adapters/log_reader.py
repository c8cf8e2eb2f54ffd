"""All partitions that the view reads, from stored offsets, without a consumer group.

Every replica reads everything, so there is nothing to rebalance and any replica answers anything.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from ingest_api.adapters.log_record import LogRecord
from ingest_api.domain.log_batch import Partition
from kartoteka_runtime.kafka import KafkaSettings, client_options

__all__ = ["VIEW_TOPICS", "LogReader", "consumer", "end"]

VIEW_TOPICS: Final = (
    "documents.interactive",
    "documents.bulk",
    "task.progress",
    "task.status",
    "documents.dlq",
    "cabinets",
    "cabinets.reindex",
)
"""What the view is made of."""

_POLL_MS: Final = 500
_BATCH: Final = 1000
_STOP_SECONDS: Final = 5.0


class LogReader:
    """An open reader. Use it as an asynchronous context manager.

    Every call raises KafkaError where the broker refuses, and OffsetOutOfRangeError once a
    position lies outside of what the log still has.
    """

    def __init__(self, kafka: KafkaSettings, *, client_id: str) -> None:
        options = client_options(kafka)
        self._consumer = consumer(options, client_id)
        # Offsets are asked on a connection of their own: on the reader's they would stand behind
        # its long poll.
        self._asker = consumer(options, f"{client_id}-offsets")

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            await self._asker.start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def begin_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the first offset that each partition still has."""
        found = await self._asker.beginning_offsets(_theirs(partitions))
        return _ours(found)

    async def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the offset after the last acknowledged record of each partition."""
        found = await self._asker.end_offsets(_theirs(partitions))
        return _ours(found)

    def start_from(self, positions: Mapping[Partition, int]) -> None:
        """Read these partitions from these offsets on."""
        self._consumer.assign(_theirs(positions))
        for partition, offset in positions.items():
            self._consumer.seek(TopicPartition(*partition), offset)

    async def read(self) -> Sequence[LogRecord]:
        """Return the next records, none when none came for half a second."""
        found = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH)
        return [record for records in found.values() for record in records]

    async def positions(self) -> dict[Partition, int]:
        """Return the next offset of every partition.

        Not the last record's offset plus one: compaction leaves holes.
        """
        return {
            Partition(tp.topic, tp.partition): await self._consumer.position(tp)
            for tp in self._consumer.assignment()
        }

    def lag(self, positions: Mapping[Partition, int]) -> int:
        """Return how many records are known to lie after the positions."""
        return sum(
            max(0, (self._consumer.highwater(TopicPartition(*partition)) or 0) - offset)
            for partition, offset in positions.items()
        )

    async def _stop(self) -> None:
        for one in (self._consumer, self._asker):
            await end(one)


async def end(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer in bounded time, whatever its broker does.

    In a task of its own: a consumer that is stopped while a fetch waits to be tried again ends
    its stop() with a CancelledError that nobody asked for, and leaves its connections open.
    """
    for stop in (consumer.stop, consumer._client.close):  # noqa: SLF001 - no public way
        stopping = asyncio.create_task(stop())
        await asyncio.wait([stopping], timeout=_STOP_SECONDS)
        if not stopping.done():
            stopping.cancel()
        elif not stopping.cancelled():
            stopping.exception()  # retrieved: the errors of an end are of no use to anybody


def consumer(options: Mapping[str, Any], client_id: str) -> AIOKafkaConsumer:
    """Return a reader without a group, not started yet."""
    return AIOKafkaConsumer(
        **options,
        client_id=client_id,
        group_id=None,
        enable_auto_commit=False,
        # A position outside of the log is the view's to know of, not to be skipped over.
        auto_offset_reset="none",
        metadata_max_age_ms=30_000,
        request_timeout_ms=10_000,
        retry_backoff_ms=200,
    )


def _theirs(partitions: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*partition) for partition in partitions]


def _ours(offsets: Mapping[TopicPartition, int]) -> dict[Partition, int]:
    return {Partition(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
