"""The composition root of ``reconcile``: settings in, a reconciliation out."""

import asyncio
from typing import Final

from embedder.adapters.inference.hash_backend import hash_model
from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.inference.model_source import source_of
from embedder.settings import Settings
from embedder.upkeep_stores import upkeep_stores
from embedder.usecases.reconcile import Plan, Reconcile, Watch
from embedder.usecases.reconcile_report import Report
from kartoteka_contracts.codec import encode
from kartoteka_contracts.errors import KartotekaError
from kartoteka_contracts.operations import ReconcileEnded
from kartoteka_index.upkeep import discover
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.producer import Producer

__all__ = ["reconcile", "tell"]

_log = get_logger(__name__)

_TOPIC: Final = "scheduler.state"
_TELL_SECONDS: Final = 15.0


async def reconcile(settings: Settings, plan: Plan, watch: Watch) -> Report:
    """Connect to everything, reconcile once, and disconnect.

    Raises:
        KartotekaError: something is away, or has nothing of ours.
    """
    model = await discover(settings.qdrant, _model_name(settings.model))
    async with upkeep_stores(settings, model, name="reconcile") as stores:
        return await Reconcile(**stores).run(plan, watch)


async def tell(settings: Settings, ended: ReconcileEnded) -> None:
    """Leave the end of a reconciliation on the log, where a process shows it that lives on.

    Bounded, and never raises: what was done is done, whoever hears of it.
    """
    producer = Producer(settings.kafka, settings.producer, client_id="reconcile-end")
    try:
        async with asyncio.timeout(_TELL_SECONDS):
            await producer.start()
            await producer.wait_connected()
            await producer.send(_TOPIC, key=ended.key, value=encode(ended))
    except (KartotekaError, OSError, TimeoutError) as error:
        _log.warning("reconcile_end_not_told", reason=str(error) or type(error).__name__)
    finally:
        await producer.stop()


def _model_name(model: ModelSettings) -> str:
    return hash_model().name if model.backend == "hash" else source_of(model).name
