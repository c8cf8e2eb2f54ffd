"""One idempotent aiokafka producer, from its connection to its end.

All that must be known of aiokafka's insides stands here:

* its idempotent batches never expire, so no acknowledgement future resolves while the broker is
  away, and its own ``stop`` does not return;
* after any record was refused for good, the sequence numbers of its partition have a hole, and
  every later record is refused, too: such a producer is spoilt and must be replaced;
* its sender is a task; when that has ended, nothing is sent any more;
* it can hand on the cancellation of a task of its own, as if whoever called it were cancelled.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

__all__ = ["Ack", "Link"]

Ack = asyncio.Future[RecordMetadata]

_CLOSE_SECONDS: Final = 1.0
_MAX_REQUEST_BYTES: Final = 1_000_000
"""Below the broker's default message.max.bytes, so that too large a record is refused here."""


class _GivenUpError(KafkaError):  # type: ignore[misc]  # aiokafka ships no types
    """The link was closed before the broker answered."""


class _CancelledItselfError(KafkaError):  # type: ignore[misc]  # aiokafka ships no types
    """A call ended by a cancellation that did not come from its caller."""


class Link:
    """A connected producer and the acknowledgements that it still owes.

    Args:
        producer: a started aiokafka producer.
        on_settled: called with every acknowledgement future that is done.
    """

    def __init__(self, producer: Any, on_settled: Callable[[Ack], None]) -> None:
        self.pending: set[Ack] = set()
        self.spoilt = asyncio.Event()
        self.reason = ""
        """Why it is spoilt."""
        self._producer = producer
        self._on_settled = on_settled
        self._closing = False
        sender: asyncio.Task[None] = producer._sender.sender_task  # noqa: SLF001 - no public way
        sender.add_done_callback(lambda _: self._spoil("aiokafka's sender task has ended"))

    @classmethod
    async def connect(
        cls,
        options: dict[str, Any],
        *,
        linger: float,
        request_timeout: float,
        connect_timeout: float,
        on_settled: Callable[[Ack], None],
    ) -> Self:
        """Connect and get a producer id. All times are in seconds.

        Raises:
            KafkaError: no broker answers.
            TimeoutError: not connected within ``connect_timeout``.
        """
        producer = AIOKafkaProducer(
            **options,
            acks="all",
            enable_idempotence=True,
            linger_ms=round(linger * 1000),
            max_batch_size=65536,
            max_request_size=_MAX_REQUEST_BYTES,
            request_timeout_ms=max(1, round(request_timeout * 1000)),
            retry_backoff_ms=100,
        )
        connected = False
        try:
            async with asyncio.timeout(connect_timeout):
                with _not_cancelled_from_within():
                    await producer.start()
            connected = True
        finally:
            if not connected:
                await _close(producer)
        return cls(producer, on_settled)

    async def enqueue(
        self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> Ack:
        """Hand a record over; cancelled before it returns, the record is never sent.

        Raises:
            KafkaError: it cannot be handed over; ``MessageSizeTooLargeError`` among others.
        """
        with _not_cancelled_from_within():
            ack: Ack = await self._producer.send(topic, value=value, key=key, headers=headers)
        self.pending.add(ack)
        ack.add_done_callback(self._settle)
        return ack

    def knows(self, topic: str) -> bool:
        """Whether the cluster's metadata, as last read, names partitions of a topic."""
        return bool(self._producer.client.cluster.partitions_for_topic(topic))

    async def refresh(self) -> bool:
        """Ask the brokers for metadata; True says that one answered.

        Raises:
            KafkaError: they cannot be asked.
        """
        with _not_cancelled_from_within():
            return bool(await self._producer.client.force_metadata_update())

    async def close(self, grace: float) -> None:
        """Wait ``grace`` seconds for acknowledgements, give up the rest, disconnect. Bounded."""
        self._closing = True
        if self.pending and grace > 0:
            await asyncio.wait(self.pending, timeout=grace)
        await _close(self._producer)

    def _settle(self, ack: Ack) -> None:
        self.pending.discard(ack)
        error = ack.exception()
        if error is not None:
            self._spoil(f"{type(error).__name__}: {error}")
        self._on_settled(ack)

    def _spoil(self, reason: str) -> None:
        if not self._closing and not self.spoilt.is_set():
            self.reason = reason
            self.spoilt.set()


@contextmanager
def _not_cancelled_from_within() -> Iterator[None]:
    """Make an error of a cancellation that nobody asked for: it would end its caller, unheard."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling() > 0:
            raise
        raise _CancelledItselfError("the client was cancelled from within") from None


async def _close(producer: Any) -> None:
    """End a producer in bounded time, also one whose broker is away."""
    sender: asyncio.Task[None] | None = producer._sender.sender_task  # noqa: SLF001 - no public way
    if sender is not None:
        sender.cancel()
    await _bounded(producer.client.close)  # what the sender still waits for fails
    if sender is not None and not sender.done():
        await asyncio.wait([sender], timeout=_CLOSE_SECONDS)
        sender.cancel()
    # Otherwise the flush within stop() waits for acknowledgements that never come.
    producer._message_accumulator.fail_all(_GivenUpError("closed"))  # noqa: SLF001 - no public way
    await _bounded(producer.stop)


async def _bounded(end: Callable[[], Coroutine[Any, Any, None]]) -> None:
    # In a task of its own: the client can end with the cancellation of a task of its own, which
    # would pass for ours, and nobody would connect again. Errors of an end are of no use.
    ending = asyncio.create_task(end())
    await asyncio.wait([ending], timeout=_CLOSE_SECONDS)
    if not ending.done():
        ending.cancel()
    elif not ending.cancelled():
        ending.exception()
