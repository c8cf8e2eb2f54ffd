"""What a command of upkeep connects to: the index, object storage and Kafka, beside the workers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final, TypedDict

from embedder.adapters.job_backlog import JobBacklog
from embedder.settings import Settings
from kartoteka_index.model import ModelIdentity
from kartoteka_index.upkeep import Upkeep
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.object_listing import ListingStore
from kartoteka_runtime.producer import Producer

__all__ = ["UpkeepStores", "upkeep_stores"]

_CONNECT_SECONDS: Final = 30.0


class UpkeepStores(TypedDict):
    """The ports of a use case of upkeep, by their names."""

    archive: ListingStore
    index: Upkeep
    backlog: JobBacklog
    log: Producer
    clock: SystemClock


@asynccontextmanager
async def upkeep_stores(
    settings: Settings, model: ModelIdentity, *, name: str
) -> AsyncIterator[UpkeepStores]:
    """Connect to everything, and disconnect at the end.

    Raises:
        KartotekaError: something is away, or has nothing of ours.
    """
    async with AsyncExitStack() as stack:
        index = Upkeep.open(settings.qdrant, model)
        stack.push_async_callback(index.close)
        await index.ping()
        backlog = await stack.enter_async_context(
            JobBacklog(settings.kafka, group=settings.worker.group)
        )
        producer = Producer(settings.kafka, settings.producer, client_id=name)
        stack.push_async_callback(producer.stop)
        await producer.start()
        with suppress(TimeoutError):  # then the first send says what is wrong
            await asyncio.wait_for(producer.wait_connected(), _CONNECT_SECONDS)
        yield UpkeepStores(
            archive=ListingStore.open(settings.objects),
            index=index,
            backlog=backlog,
            log=producer,
            clock=SystemClock(),
        )
