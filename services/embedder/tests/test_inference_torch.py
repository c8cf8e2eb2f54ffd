"""The reference is held to the same suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from inference_suite import InferenceSuite

from embedder.adapters.inference.assembly import PreparedModel, open_engine, prepare
from embedder.adapters.inference.engine import Engine
from embedder.adapters.inference.model_settings import ModelSettings

CACHE = Path(__file__).parents[3] / ".kartoteka" / "models"


@pytest.fixture(scope="module")
def prepared() -> PreparedModel:
    return prepare(ModelSettings(cache=CACHE, backend="torch"))


@pytest.fixture
async def engine(prepared: PreparedModel) -> AsyncIterator[Engine]:
    engine = open_engine(prepared)
    await engine.start()
    yield engine
    await engine.close()


class TestTorchBackend(InferenceSuite):
    pass
