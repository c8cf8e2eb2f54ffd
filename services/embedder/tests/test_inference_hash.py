import subprocess
import sys
from collections.abc import AsyncIterator

import numpy as np
import pytest
from inference_suite import InferenceSuite, cosines

from embedder.adapters.inference.assembly import PreparedModel, open_engine, prepare
from embedder.adapters.inference.engine import Engine
from embedder.adapters.inference.model_settings import ModelSettings


@pytest.fixture
def prepared() -> PreparedModel:
    return prepare(ModelSettings(backend="hash"))


@pytest.fixture
async def engine(prepared: PreparedModel) -> AsyncIterator[Engine]:
    engine = open_engine(prepared)
    await engine.start()
    yield engine
    await engine.close()


class TestHashBackend(InferenceSuite):
    pass


async def test_texts_without_common_words_are_far_apart(engine: Engine) -> None:
    near, far, text = await engine.embed_queries(
        ["red bicycles rust", "quarterly tax report", "the red bicycles rust in rain"]
    )

    assert cosines(near[None], text[None])[0] > 0.6
    assert cosines(far[None], text[None])[0] < 0.2


async def test_a_search_model_is_never_taken_for_a_real_one(prepared: PreparedModel) -> None:
    assert prepared.spec.name == "hash"


async def test_prompts_of_the_settings_reach_the_model() -> None:
    settings = ModelSettings(backend="hash", query_prompt="query: ", passage_prompt="passage: ")
    prepared = prepare(settings)
    engine = open_engine(prepared)
    await engine.start()
    try:
        found = await engine.embed_texts(["query: cat"], input_type="passage")
        passage = await engine.embed_texts(["cat"], input_type="passage")
        query = await engine.embed_texts(["cat"], input_type="query")
    finally:
        await engine.close()

    assert (found.tokens, passage.tokens, query.tokens) == (7, 5, 5)
    assert not np.allclose(passage.vectors, query.vectors)


_FORGETFUL = """
import asyncio
from embedder.adapters.inference.assembly import open_engine, prepare
from embedder.adapters.inference.model_settings import ModelSettings

async def main():
    engine = open_engine(prepare(ModelSettings(backend="hash")))
    await engine.start()
    await engine.embed_queries(["hello"])
    raise SystemExit(3)

asyncio.run(main())
"""


def test_a_process_that_ends_without_closing_is_not_kept_alive() -> None:
    child = subprocess.run([sys.executable, "-c", _FORGETFUL], check=False, timeout=30)

    assert child.returncode == 3


async def test_megabytes_are_tokenized_beside_the_event_loop(engine: Engine) -> None:
    texts = ["word " * 200] * 200

    found = await engine.embed_texts(texts, input_type="passage")

    assert found.vectors.shape == (200, engine.dimension)
    assert found.tokens == 200 * 202
