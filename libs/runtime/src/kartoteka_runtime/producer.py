"""Produce to Kafka and know what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from kartoteka_runtime.clock import Clock
from kartoteka_runtime.env import Fragment
from kartoteka_runtime.kafka import KafkaSettings

__all__ = ["Delivered", "Producer", "ProducerSettings"]

Headers = Sequence[tuple[str, bytes]]


class ProducerSettings(Fragment):
    """When a send is given up."""

    prefix: ClassVar[str] = "PRODUCER_"

    ack_timeout: float = Field(default=5.0, gt=0, le=120)
    """Seconds from the call until a record without acknowledgement is given up."""
    max_in_flight: int = Field(default=1000, ge=1, le=100_000)
    """Records under way at once; one more is refused as overloaded, so memory stays bounded."""
    breaker_failures: int = Field(default=3, ge=1)
    """Timeouts in a row after which sends fail at once."""
    probe_interval: float = Field(default=1.0, gt=0)
    """Seconds between single tries while sends fail at once."""
    linger: float = Field(default=0.005, ge=0, le=1)
    """Seconds that a record waits for others to share its batch."""
    stop_timeout: float = Field(default=5.0, gt=0)
    """Seconds that stopping waits for acknowledgements; later ones are given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Where an acknowledged record lies."""

    topic: str
    partition: int
    offset: int


class Producer:
    """Sends with acks=all, idempotently, and never waits without bound."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ProducerSettings,
        *,
        client_id: str,
        clock: Clock | None = None,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._client_id = client_id
        self._clock = clock

    @property
    def trouble(self) -> str | None:
        """Why it cannot send now; None when it can."""
        raise NotImplementedError

    async def start(self) -> None:
        """Begin to connect. Never raises for an absent broker."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Wait a bounded time for what is under way, then close."""
        raise NotImplementedError

    async def send(
        self, topic: str, *, key: str, value: bytes | None, headers: Headers = ()
    ) -> Delivered:
        """Send one record and wait for the broker's acknowledgement.

        Raises:
            UnavailableError: ``event_log_unavailable`` (outcome unknown) or ``overloaded``.
        """
        raise NotImplementedError

    def post(self, topic: str, *, key: str, value: bytes, headers: Headers = ()) -> None:
        """Send without waiting; dropped and counted when it cannot be sent."""
        raise NotImplementedError
