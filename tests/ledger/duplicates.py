"""Job events that come again, long after their work was done: as Kafka, or a bad replay, may."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.ledger.ledger import Outcome, Verdict

__all__ = ["Duplicates"]

_TOPIC: Final = "documents.interactive"
_OTHER: Final = "documents.bulk"
_RUNS: Final = "cabinets.reindex"
_OTHER_SHARE: Final = 0.3
"""Sent to another topic, so another worker may have it at the same time as the first one."""
_KEPT: Final = 300
_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Duplicates:
    """Reads the topics of work beside the workers, and produces copies of what it saw.

    Args:
        bootstrap_servers: of Kafka.
        has_runs: whether runs and what they send come again, too.
    """

    def __init__(self, bootstrap_servers: str, *, has_runs: bool) -> None:
        self._topics = (_TOPIC, _OTHER, _RUNS) if has_runs else (_TOPIC,)
        self._servers = bootstrap_servers
        self._seen: list[_Record] = []
        self._random = Random("kept events")

    async def read(self) -> None:
        """Read until cancelled, also over outages."""
        while True:
            consumer = AIOKafkaConsumer(
                *self._topics,
                bootstrap_servers=self._servers,
                enable_auto_commit=False,
                auto_offset_reset="latest",
            )
            try:
                await consumer.start()
                async for record in consumer:
                    self._keep(record)
            except (KafkaError, OSError):
                await asyncio.sleep(1)
            finally:
                with suppress(KafkaError, OSError, TimeoutError):
                    await asyncio.wait_for(consumer.stop(), _SECONDS)

    def _keep(self, record: Any) -> None:
        """Keep the newest, and some of the older ones."""
        found = _Record(
            topic=record.topic,
            key=record.key,
            value=record.value,
            headers=tuple(record.headers),
        )
        if len(self._seen) < _KEPT:
            self._seen.append(found)
        else:
            self._seen[self._random.randrange(_KEPT)] = found

    async def send_again(self, random: Random, number: int) -> Outcome:
        """Send a copy of one event; which document's does not matter."""
        if not self._seen:
            return Outcome(n=number, verdict=Verdict.FAIL, code="nothing seen yet")
        recent = self._seen[-10:] if random.random() < 1 / 2 else self._seen
        record = random.choice(recent)
        topic = record.topic
        if topic != _RUNS:
            topic = _OTHER if random.random() < _OTHER_SHARE else _TOPIC
        producer = AIOKafkaProducer(bootstrap_servers=self._servers, acks="all")
        try:
            async with asyncio.timeout(_SECONDS):
                await producer.start()
                await producer.send_and_wait(
                    topic, record.value, key=record.key, headers=list(record.headers)
                )
        except (KafkaError, OSError, TimeoutError) as error:
            return Outcome(n=number, verdict=Verdict.UNKNOWN, code=type(error).__name__)
        finally:
            with suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(producer.stop(), _SECONDS)
        return Outcome(n=number, verdict=Verdict.OK)
