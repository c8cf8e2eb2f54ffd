"""The composition root of ``rebuild``: settings in, a rebuilt index out."""

import asyncio
from typing import Final

from embedder.adapters.inference.exported_model import find
from embedder.adapters.inference.hash_backend import hash_model
from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.inference.model_source import source_of
from embedder.settings import Settings
from embedder.upkeep_stores import upkeep_stores
from embedder.usecases.rebuild import Rebuild, RebuildPlan, Watch
from embedder.usecases.rebuild_report import RebuildReport
from kartoteka_contracts.errors import UnavailableError
from kartoteka_index.client import QdrantSettings
from kartoteka_index.model import ModelIdentity
from kartoteka_index.upkeep import discover

__all__ = ["rebuild"]

_COLLECTION_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 1.0


async def rebuild(settings: Settings, plan: RebuildPlan, watch: Watch) -> RebuildReport:
    """Connect to everything, make the collections, rebuild, and disconnect.

    Raises:
        KartotekaError: something is away, or has nothing of ours.
        TimeoutError: nothing is decided any more.
    """
    model = await _identity(settings.model, settings.qdrant)
    async with upkeep_stores(settings, model, name="rebuild") as stores:
        await stores["index"].ensure()
        return await Rebuild(**stores).run(plan, watch)


async def _identity(model: ModelSettings, qdrant: QdrantSettings) -> ModelIdentity:
    """Return the model's identity without loading it.

    Where the model is not on this machine, the workers know its dimension: they make the
    collections when they start.

    Raises:
        UnavailableError: neither is here, or Qdrant is away.
    """
    if model.backend == "hash":
        spec = hash_model()
        return ModelIdentity(name=spec.name, dimension=spec.dimension)
    exported = await asyncio.to_thread(find, model)
    if exported is not None:
        return ModelIdentity(name=exported.spec.name, dimension=exported.spec.dimension)
    deadline = asyncio.get_running_loop().time() + _COLLECTION_SECONDS
    while True:
        try:
            return await discover(qdrant, source_of(model).name)
        except UnavailableError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
