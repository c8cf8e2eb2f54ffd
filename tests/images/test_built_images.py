"""The three images as they were built: `make images`, then `make test-images`."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.images.built import Built, Container

pytestmark = pytest.mark.images

MODULES = {"ingest-api": "ingest_api", "embedder": "embedder", "scheduler": "scheduler"}
BASE_MB = 150
BUDGETS_MB = {
    # On a base of BASE_MB. A fifth of it is what qdrant-client imports: numpy and gRPC.
    "ingest-api": 290,
    "embedder": 700,
    "scheduler": 250,
}
MODEL_MB = 95


@pytest.fixture(scope="module", params=list(MODULES))
def image(request: pytest.FixtureRequest) -> Built:
    return Built.of(request.param)


@pytest.fixture(scope="module")
def container(image: Built) -> Iterator[Container]:
    with image.container() as made:
        yield made


def short(image: Built) -> str:
    return image.name.partition("/")[2].partition(":")[0]


def test_it_is_within_its_budget(image: Built) -> None:
    budget = BUDGETS_MB[short(image)] + (MODEL_MB if short(image) == "embedder" else 0)

    assert image.size <= budget * 1_000_000


def test_it_names_its_user_by_number_and_bakes_no_arguments(image: Built) -> None:
    assert image.config["User"] == "10001:10001"
    assert "Entrypoint" not in image.config
    assert image.config["Cmd"] == ["python", "-m", MODULES[short(image)], "--help"]
    assert image.config["WorkingDir"] == "/app"


def test_its_labels_say_what_it_is(image: Built) -> None:
    labels = image.config["Labels"]

    assert labels["org.opencontainers.image.title"] == f"kartoteka-{short(image)}"
    for name in ("description", "version", "revision", "source", "licenses"):
        assert labels[f"org.opencontainers.image.{name}"]
    assert len(labels["org.opencontainers.image.revision"]) == 40


def test_its_environment_holds_neither_installers_nor_what_exports_models(
    container: Container,
) -> None:
    packages = container.root / "app/.venv/lib/python3.11/site-packages"

    unwanted = (
        "pip",
        "uv",
        "setuptools",
        "hatchling",
        "torch",
        "transformers",
        "openvino_telemetry",
    )
    assert [name for name in unwanted if (packages / name).exists()] == []
    programs = {path.name for path in (container.root / "app/.venv/bin").iterdir()}
    assert not programs & {"pip", "pip3", "uv", "uvx"}
    assert not (container.root / "opt/uv").exists()
    assert not (container.root / "staging").exists()


def test_nothing_below_app_belongs_to_who_runs_it(container: Container) -> None:
    root = container.root / "app"

    assert {path.lstat().st_uid for path in root.rglob("*")} == {0}


def test_it_tells_how_it_is_used(image: Built, container: Container) -> None:
    done = container.run("python", "-m", MODULES[short(image)], "--help")

    assert done.returncode == 0, done.stderr
    assert f"python -m {MODULES[short(image)]}" in done.stdout


def test_all_of_its_own_modules_can_be_imported(image: Built, container: Container) -> None:
    done = container.run("python", "-c", IMPORT_ALL, MODULES[short(image)])

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_running_it_writes_nothing_into_it(image: Built, container: Container) -> None:
    """Bytecode is there already, and as it would be made: nothing has to be written."""
    before = container.files()

    container.run("python", "-c", IMPORT_ALL, MODULES[short(image)], user="0:0")

    assert container.files() == before


def test_its_libraries_agree_with_each_other(container: Container) -> None:
    """What was taken out of them is nothing that they load."""
    done = container.run("python", "-c", LOAD_ALL)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_embedder_runs_its_model_from_a_folder_that_it_cannot_write() -> None:
    with Built.of("embedder").container() as made:
        done = made.run("python", "-c", EMBED)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["all-MiniLM-L6-v2", "384"]


def test_the_scheduler_makes_topics_too() -> None:
    with Built.of("scheduler").container() as made:
        done: subprocess.CompletedProcess[str] = made.run("kartoteka-topics", "--help")

    assert done.returncode == 0, done.stderr


IMPORT_ALL = """
import importlib, pkgutil, sys
count = 0
outside = {"embedder.adapters.inference.torch_backend", "embedder.adapters.inference.lean_bert"}
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(package.__path__, sys.argv[1] + "."):
    if not found.name.endswith("__main__") and found.name not in outside:
        importlib.import_module(found.name)
        count += 1
print(count)
"""

LOAD_ALL = """
import ctypes, pathlib, sys
site = pathlib.Path(sys.prefix) / "lib/python3.11/site-packages"
import importlib
for name in ("numpy", "openvino"):
    if (site / name).exists():
        importlib.import_module(name)
for library in sorted(site.rglob("*.so*")):
    ctypes.CDLL(str(library))
"""

EMBED = """
from embedder.adapters.inference.assembly import prepare
from embedder.settings import model_settings
prepared = prepare(model_settings())
prepared.backend.load()
print(prepared.spec.name, prepared.spec.dimension)
"""
