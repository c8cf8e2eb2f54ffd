"""The composition root of ``reconcile``: settings in, a reconciliation out."""

from embedder.adapters.inference.hash_backend import hash_model
from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.inference.model_source import source_of
from embedder.settings import Settings
from embedder.upkeep_stores import upkeep_stores
from embedder.usecases.reconcile import Plan, Reconcile, Watch
from embedder.usecases.reconcile_report import Report
from kartoteka_index.upkeep import discover

__all__ = ["reconcile"]


async def reconcile(settings: Settings, plan: Plan, watch: Watch) -> Report:
    """Connect to everything, reconcile once, and disconnect.

    Raises:
        KartotekaError: something is away, or has nothing of ours.
    """
    model = await discover(settings.qdrant, _model_name(settings.model))
    async with upkeep_stores(settings, model, name="reconcile") as stores:
        return await Reconcile(**stores).run(plan, watch)


def _model_name(model: ModelSettings) -> str:
    return hash_model().name if model.backend == "hash" else source_of(model).name
