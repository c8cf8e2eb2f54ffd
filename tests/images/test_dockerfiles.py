"""What holds for every Dockerfile, seen without building."""

import re
from pathlib import Path

import pytest

from tests.images.dockerfile import Stage, stages

ROOT = Path(__file__).parents[2]
SERVICES = ("ingest-api", "embedder", "scheduler")
STORES = ("kafka", "qdrant", "object-storage")
FILES = [
    *(ROOT / "services" / name / "Dockerfile" for name in SERVICES),
    *(ROOT / "tests/e2e/images" / name / "Dockerfile" for name in STORES),
]

every_service = pytest.mark.parametrize("service", SERVICES)
every_file = pytest.mark.parametrize("file", FILES, ids=lambda path: path.parent.name)


def of(service: str) -> dict[str, Stage]:
    return stages(ROOT / "services" / service / "Dockerfile")


@every_service
def test_nothing_is_run_in_the_stage_that_is_kept(service: str) -> None:
    kept = [stage for name, stage in of(service).items() if name in {"runtime", "with-model"}]

    assert kept
    assert [stage.all("RUN") for stage in kept] == [[] for _ in kept]


@every_service
def test_the_user_is_a_number_so_that_a_cluster_can_see_that_it_is_not_root(service: str) -> None:
    assert of(service)["runtime"].all("USER") == ["10001:10001"]


@every_service
def test_all_stages_with_python_begin_with_the_same_image(service: str) -> None:
    built = {"dependencies", "exporter", "runtime"} & of(service).keys()

    assert {of(service)[name].base for name in built} == {"${BASE}"}


@every_service
def test_no_arguments_are_baked_into_an_entry_point(service: str) -> None:
    assert [stage.all("ENTRYPOINT") for stage in of(service).values()] == [[] for _ in of(service)]


@every_service
def test_every_label_of_an_image_is_set(service: str) -> None:
    labels = "".join(of(service)["runtime"].all("LABEL"))

    wanted = {"title", "description", "version", "revision", "source", "licenses"}
    assert set(re.findall(r"org\.opencontainers\.image\.(\w+)=", labels)) == wanted


@every_service
def test_only_trees_that_a_service_needs_are_copied_in(service: str) -> None:
    copied = {part for stage in of(service).values() for part in stage.all("COPY")}

    assert not [line for line in copied if re.match(r"\.\s|\./\s", line)]
    others = {f"services/{other}/" for other in SERVICES if other != service}
    assert not [line for line in copied for other in others if other in line]


def test_the_model_is_copied_last_and_is_all_that_comes_from_where_torch_is() -> None:
    embedder = of("embedder")

    assert embedder["with-model"].instructions[-1].rest == "--from=model /models /models"
    assert embedder["with-model"].base == "runtime"
    assert not [line for line in embedder["runtime"].all("COPY") if "--from=model" in line]


@every_file
def test_no_registry_and_no_path_of_a_machine_is_named(file: Path) -> None:
    text = file.read_text("utf-8")

    assert not re.search(r"https?://|docker\.io|ghcr\.io|quay\.io|/home/|/root/|/work/", text)
    assert "ARG BASE=python:3.11-slim-bookworm" in text


@every_file
def test_what_pip_or_uv_install_is_locked_by_hash(file: Path) -> None:
    """They are called by these scripts only."""
    runs = [line for stage in stages(file).values() for line in stage.all("RUN")]

    assert not [line for line in runs if re.search(r"\b(pip|uv) (install|pip)", line)]
    scripts = [script.read_text("utf-8") for script in (ROOT / "images").glob("install_*.sh")]
    installs = [
        re.sub(r"\s*\\\n\s*", " ", line)
        for script in scripts
        for line in re.findall(r"^.*pip install(?:.*\\\n)*.*$", script, re.MULTILINE)
    ]
    assert len(installs) == 5
    assert not [each for each in installs if "--require-hashes" not in each + _wheels(each)]


def _wheels(install: str) -> str:
    """Our own wheels, built a line before, have no hashes to be held against."""
    return "--require-hashes" if "--no-index /opt/wheels-of-ours/*.whl" in install else ""


def test_the_context_holds_nothing_by_default() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()

    assert next(line for line in lines if not line.startswith("#")) == "*"
