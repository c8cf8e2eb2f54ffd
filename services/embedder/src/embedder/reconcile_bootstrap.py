"""The composition root of ``reconcile``: settings in, a reconciliation out."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Final

from embedder.adapters.inference.hash_backend import hash_model
from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.inference.model_source import source_of
from embedder.adapters.job_backlog import JobBacklog
from embedder.settings import Settings
from embedder.usecases.reconcile import Plan, Reconcile, Watch
from embedder.usecases.reconcile_report import Report
from kartoteka_index.upkeep import Upkeep, discover
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.object_listing import ListingStore
from kartoteka_runtime.producer import Producer

__all__ = ["reconcile"]

_CONNECT_SECONDS: Final = 30.0


async def reconcile(settings: Settings, plan: Plan, watch: Watch) -> Report:
    """Connect to everything, reconcile once, and disconnect.

    Raises:
        KartotekaError: something is away, or has nothing of ours.
    """
    model = await discover(settings.qdrant, _model_name(settings.model))
    async with AsyncExitStack() as stack:
        index = Upkeep.open(settings.qdrant, model)
        stack.push_async_callback(index.close)
        await index.ping()
        backlog = await stack.enter_async_context(
            JobBacklog(settings.kafka, group=settings.worker.group)
        )
        producer = Producer(settings.kafka, settings.producer, client_id="reconcile")
        stack.push_async_callback(producer.stop)
        await producer.start()
        with suppress(TimeoutError):  # then the first send says what is wrong
            await asyncio.wait_for(producer.wait_connected(), _CONNECT_SECONDS)
        usecase = Reconcile(
            archive=ListingStore.open(settings.objects),
            index=index,
            backlog=backlog,
            log=producer,
            clock=SystemClock(),
        )
        return await usecase.run(plan, watch)


def _model_name(model: ModelSettings) -> str:
    return hash_model().name if model.backend == "hash" else source_of(model).name
