"""The reference is held to the same suite."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch
from inference_suite import InferenceSuite

from embedder.adapters import model_export
from embedder.adapters.inference.assembly import PreparedModel, open_engine, prepare
from embedder.adapters.inference.engine import Engine
from embedder.adapters.inference.exported_model import ExportedModelError, ensure
from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.inference.model_source import source_of
from embedder.adapters.inference.torch_backend import load_sentence_transformer
from embedder.adapters.tokenizer import FileTokenizer

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


def test_an_export_that_differs_from_the_original_is_refused() -> None:
    settings = ModelSettings(cache=CACHE)
    exported = ensure(settings)
    original = load_sentence_transformer(source_of(settings))
    tokenizer = FileTokenizer(exported.tokenizer)
    with torch.no_grad():
        for weights in original[0].parameters():
            weights.add_(torch.randn_like(weights) * 0.02)

    with pytest.raises(ExportedModelError, match="differs from the original: cosine"):
        model_export._self_check(original, exported.spec, tokenizer, settings, exported.ir)


@pytest.mark.integration
def test_of_two_embedders_that_start_together_one_exports(tmp_path: Path) -> None:
    settings = ModelSettings(cache=tmp_path).model_dump_json()
    command = [sys.executable, "-m", "embedder.adapters.model_export", settings]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    said = [child.communicate(timeout=100)[0] for child in children]

    assert [child.returncode for child in children] == [0, 0]
    assert sorted("Converting" in text for text in said) == [False, True]
    assert len(list(tmp_path.glob("*/*/model.xml"))) == 1
    assert list(tmp_path.glob("*/.partial*")) == []
