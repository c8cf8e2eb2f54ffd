"""How a link ends, whatever the client beneath it does."""

import asyncio

import pytest

from kartoteka_runtime.producer_link import Link


class Client:
    async def close(self) -> None:
        cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        await cancelled  # as one that waits for a connection's task


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


async def test_a_client_that_ends_by_a_cancellation_of_its_own_cancels_nobody() -> None:
    vendor = Vendor()
    link = Link(vendor, lambda _: pytest.fail("nothing was sent"))
    await link.close(0)
    assert vendor.is_stopped
    assert vendor._message_accumulator.failed is not None
    assert vendor._sender.sender_task.cancelled()
