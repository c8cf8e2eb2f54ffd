"""The real model, as workers run it. Its export is kept in the repository's own cache."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from inference_suite import TEXTS, InferenceSuite, cosines, rows_of

from embedder.adapters.inference.assembly import PreparedModel, open_engine, prepare
from embedder.adapters.inference.engine import Engine
from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.inference.openvino_backend import cpu_precision

CACHE = Path(__file__).parents[3] / ".kartoteka" / "models"


@pytest.fixture(scope="module")
def settings() -> ModelSettings:
    return ModelSettings(cache=CACHE)


@pytest.fixture(scope="module")
def prepared(settings: ModelSettings) -> PreparedModel:
    return prepare(settings)


@pytest.fixture
async def engine(prepared: PreparedModel) -> AsyncIterator[Engine]:
    engine = open_engine(prepared)
    await engine.start()
    yield engine
    await engine.close()


class TestOpenVinoBackend(InferenceSuite):
    pass


async def test_meaning_is_found_without_common_words(engine: Engine) -> None:
    query, near, far = await engine.embed_queries(
        ["a feline rests", "The cat is asleep on the sofa.", "Invoices are due in thirty days."]
    )

    assert query @ near > query @ far + 0.2


async def test_two_streams_answer_as_one(settings: ModelSettings, engine: Engine) -> None:
    prepared = prepare(settings.model_copy(update={"threads": 2}))
    wide = open_engine(prepared)
    await wide.start()
    rows = rows_of(prepared) * 12
    try:
        both = await wide.embed_passages(rows), await engine.embed_passages(rows)
    finally:
        await wide.close()

    assert min(cosines(*both)) >= 0.9999


_CHILD = """
import asyncio, json, sys
from embedder.adapters.inference.assembly import open_engine, prepare
from embedder.adapters.inference.model_settings import ModelSettings

async def main():
    engine = open_engine(prepare(ModelSettings.model_validate_json(sys.argv[1])))
    await engine.start()
    await engine.embed_queries(["hello"])
    await engine.close()

asyncio.run(main())
heavy = {"torch", "sentence_transformers", "transformers"}
print(json.dumps(sorted(heavy & {name.partition(".")[0] for name in sys.modules})))
"""


def test_a_worker_imports_no_training_library(
    settings: ModelSettings, prepared: PreparedModel
) -> None:
    assert prepared.spec.dimension == 384
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, settings.model_dump_json()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert child.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("fpu avx512f avx512_bf16 amx_tile", "bf16"),
        ("fpu amx_bf16", "bf16"),
        ("fpu avx2 avx512f avx512_vnni", "fp32"),
    ],
    ids=["avx512_bf16", "amx", "neither"],
)
def test_the_cpu_decides_on_the_precision(flags: str, precision: str, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")

    assert cpu_precision(cpuinfo) == precision


async def test_openvino_says_what_torch_says(
    settings: ModelSettings, engine: Engine, prepared: PreparedModel
) -> None:
    reference = open_engine(prepare(settings.model_copy(update={"backend": "torch"})))
    await reference.start()
    try:
        expected = await reference.embed_passages(rows_of(prepared))
        queries = await reference.embed_queries(TEXTS)
    finally:
        await reference.close()

    assert min(cosines(await engine.embed_passages(rows_of(prepared)), expected)) >= 0.999
    assert min(cosines(await engine.embed_queries(TEXTS), queries)) >= 0.999


def test_no_id_for_the_vendor_is_left_behind(settings: ModelSettings, tmp_path: Path) -> None:
    load = (
        "from embedder.adapters.inference.assembly import prepare\n"
        "from embedder.adapters.inference.model_settings import ModelSettings\n"
        "import sys\n"
        "prepare(ModelSettings.model_validate_json(sys.argv[1])).backend.load()\n"
    )

    subprocess.run(
        [sys.executable, "-c", load, settings.model_dump_json()],
        env={"HOME": str(tmp_path)},
        check=True,
    )

    assert list(tmp_path.iterdir()) == []
