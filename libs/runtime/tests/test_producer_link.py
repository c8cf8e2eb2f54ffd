"""How a link ends, whatever the client beneath it does."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.producer import Producer, ProducerSettings
from kartoteka_runtime.producer_link import Link


async def cancelled_from_within(*_args: Any, **_more: Any) -> None:
    cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    await cancelled  # as one that waits for a connection's task


class Client:
    async def close(self) -> None:
        await cancelled_from_within()

    async def force_metadata_update(self) -> None:
        await cancelled_from_within()


class Accumulator:
    failed: BaseException | None = None

    def fail_all(self, error: BaseException) -> None:
        self.failed = error


class Sender:
    def __init__(self) -> None:
        self.sender_task = asyncio.create_task(asyncio.sleep(3600))


class Vendor:
    """Stands in for aiokafka's producer."""

    def __init__(self) -> None:
        self._sender = Sender()
        self._message_accumulator = Accumulator()
        self.client = Client()
        self.is_stopped = False

    async def stop(self) -> None:
        self.is_stopped = True
        await self.client.close()

    async def send(self, *_args: Any, **_more: Any) -> None:
        await cancelled_from_within()


async def test_a_client_that_ends_by_a_cancellation_of_its_own_cancels_nobody() -> None:
    vendor = Vendor()
    link = Link(vendor, lambda _: pytest.fail("nothing was sent"))
    await link.close(0)
    assert vendor.is_stopped
    assert vendor._message_accumulator.failed is not None
    assert vendor._sender.sender_task.cancelled()


async def test_a_call_that_the_client_cancels_by_itself_fails_and_cancels_nobody() -> None:
    link = Link(Vendor(), lambda _: pytest.fail("nothing was sent"))
    with pytest.raises(KafkaError):
        await link.refresh()
    with pytest.raises(KafkaError):
        await link.enqueue("t", b"k", b"v", [])
    await link.close(0)


async def test_a_caller_who_is_cancelled_is_told_so() -> None:
    class Waiting(Vendor):
        async def send(self, *_args: Any, **_more: Any) -> None:
            await asyncio.Event().wait()

    link = Link(Waiting(), lambda _: pytest.fail("nothing was sent"))
    call = asyncio.create_task(link.enqueue("t", b"k", b"v", []))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await link.close(0)


async def test_a_client_that_is_cancelled_as_it_connects_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts: list[AIOKafkaProducer] = []
    again = asyncio.Event()

    async def start(self: AIOKafkaProducer) -> None:
        starts.append(self)
        if len(starts) > 1:
            again.set()
            await asyncio.Event().wait()
        await cancelled_from_within()

    monkeypatch.setattr(AIOKafkaProducer, "start", start)
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    producer = Producer(kafka, ProducerSettings(), client_id="test")
    await producer.start()
    await asyncio.wait_for(again.wait(), 5)
    assert producer.trouble is not None
    await producer.stop()
