"""Kafka in lists: ordered partitions, and one group's offsets."""

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from embedder.domain.window import Place
from kartoteka_contracts.topics import JOB_TOPICS
from kartoteka_runtime.clock import Clock

__all__ = ["PARTITIONS", "MemoryLog", "Stored"]

PARTITIONS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record. It has the names that the view reads."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def place(self) -> Place:
        """Where it lies."""
        return Place(self.topic, self.partition)


class MemoryLog:
    """All topics.

    ``appended`` is called with every record, after it is there.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.records: dict[Place, list[Stored]] = defaultdict(list)
        self.committed: dict[Place, int] = defaultdict(int)
        self.appended: list[Callable[[Stored], None]] = []

    def append(
        self, topic: str, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Stored:
        """Put a record behind all others of its partition."""
        place = Place(topic, zlib.crc32(key.encode()) % PARTITIONS)
        record = Stored(
            topic=place.topic,
            partition=place.partition,
            offset=len(self.records[place]),
            timestamp=int(self._clock.now().timestamp() * 1000),
            key=key.encode(),
            value=value,
            headers=tuple(headers),
        )
        self.records[place].append(record)
        for tell in self.appended:
            tell(record)
        return record

    def jobs(self) -> Iterable[Place]:
        """Give the partitions of the job topics, those with the same number together."""
        for partition in range(PARTITIONS):
            for topic in JOB_TOPICS:
                yield Place(topic, partition)

    def on(self, topic: str) -> list[Stored]:
        """Return a topic's records, partition by partition."""
        return [
            record
            for partition in range(PARTITIONS)
            for record in self.records[Place(topic, partition)]
        ]

    def on_jobs(self) -> list[Stored]:
        """Return the job topics' records."""
        return [record for place in self.jobs() for record in self.records[place]]

    def unprocessed(self) -> list[Stored]:
        """Return the job topics' records that are not committed."""
        return [
            record
            for place in self.jobs()
            for record in self.records[place][self.committed[place] :]
        ]

    # --- as reconciliation sees it --------------------------------------------------------------

    async def oldest(self) -> datetime | None:
        """Return when the oldest unprocessed event was sent."""
        times = [record.timestamp for record in self.unprocessed()]
        return datetime.fromtimestamp(min(times) / 1000, UTC) if times else None

    async def waiting(
        self, keys: Iterable[str], *, topics: Iterable[str] = JOB_TOPICS
    ) -> frozenset[str]:
        """Return those keys of which an event of these topics is not processed."""
        del topics  # there are no others here
        return frozenset(record.key.decode() for record in self.unprocessed()) & frozenset(keys)
