"""Exporting without a model: what is in the cache, who makes it, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embedder.adapters import model_export
from embedder.adapters.inference.exported_model import (
    ExportedModel,
    ExportedModelError,
    ModelKey,
    ensure,
    find,
    with_prompts,
)
from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.inference.model_source import ModelSource, source_of
from embedder.adapters.inference.self_check import check_texts, cosines
from embedder.domain.model import ModelSpec
from kartoteka_runtime.env import read

SPEC = ModelSpec(name="tiny", dimension=3, max_tokens=16, prefix=(1,), suffix=(2,))


@pytest.fixture
def settings(tmp_path: Path) -> ModelSettings:
    return ModelSettings(name="tiny", cache=tmp_path)


def planted(settings: ModelSettings, key: ModelKey | None = None) -> Path:
    key = key or ModelKey.of(settings)
    folder = settings.cache_folder / key.folder
    folder.mkdir(parents=True)
    (folder / "model.xml").write_text("<net/>")
    ExportedModel.write_meta(folder, key, SPEC)
    return folder


def key_of(settings: ModelSettings, versions: dict[str, str]) -> ModelKey:
    return ModelKey(source=source_of(settings), backend=settings.backend, versions=versions)


def test_what_was_written_is_found(settings: ModelSettings) -> None:
    folder = planted(settings)

    found = find(settings)

    assert found is not None
    assert (found.folder, found.spec) == (folder, SPEC)


def test_an_export_in_the_cache_is_not_made_again(settings: ModelSettings) -> None:
    folder = planted(settings)
    said: list[str] = []

    found = model_export.main(settings, said.append)

    assert found is not None
    assert said == [f"tiny is in {folder}"]


def test_the_hash_backend_needs_no_export(tmp_path: Path) -> None:
    said: list[str] = []

    assert model_export.main(ModelSettings(backend="hash", cache=tmp_path), said.append) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.xml").write_text("<n"),
        lambda folder: (folder / "model.xml").unlink(),
        lambda folder: (folder / "meta.json").write_text('{"identity": '),
        lambda folder: (folder / "meta.json").write_text("[]"),
        lambda folder: (folder / "meta.json").unlink(),
    ],
    ids=["cut short", "missing file", "half a meta", "no object", "no meta"],
)
def test_an_export_that_is_not_whole_is_none(
    settings: ModelSettings, damage: Callable[[Path], object]
) -> None:
    damage(planted(settings))

    assert find(settings) is None


@pytest.mark.parametrize(
    "other",
    [{"revision": "v2"}, {"backend": "torch"}, {"name": "other"}],
    ids=["revision", "backend", "name"],
)
def test_another_model_is_not_taken_for_this_one(
    settings: ModelSettings, other: dict[str, str]
) -> None:
    planted(settings)

    assert find(settings.model_copy(update=other)) is None


def test_another_version_of_a_library_makes_it_anew(settings: ModelSettings) -> None:
    versions = {**ModelKey.of(settings).versions, "openvino": "1999.1"}
    planted(settings, key_of(settings, versions))

    assert find(settings) is None


def test_a_worker_without_the_libraries_of_the_export_takes_it(settings: ModelSettings) -> None:
    key = key_of(settings, {"openvino": "1", "torch": "2"})
    folder = planted(settings, key)
    worker = key_of(settings, {"openvino": "1"})

    assert worker.folder != key.folder
    assert ExportedModel.read(folder, worker) is not None


def test_meta_holds_no_path_of_the_machine(settings: ModelSettings, tmp_path: Path) -> None:
    source = tmp_path / "weights"
    source.mkdir()
    (source / "config.json").write_text("{}")
    folder = planted(settings.model_copy(update={"path": source}))

    assert str(tmp_path) not in (folder / "meta.json").read_text()


def test_a_folder_is_another_model_once_its_content_changes(
    settings: ModelSettings, tmp_path: Path
) -> None:
    source = tmp_path / "weights"
    source.mkdir()
    weights = source / "model.safetensors"
    weights.write_bytes(b"\0" * 5_000_000)
    local = settings.model_copy(update={"path": source})
    planted(local)
    assert find(local) is not None

    weights.write_bytes(b"\0" * 4_999_999 + b"\1")

    assert find(local) is None


def test_an_export_of_a_folder_is_found_where_the_folder_is_not(
    settings: ModelSettings, tmp_path: Path
) -> None:
    source = tmp_path / "weights"
    source.mkdir()
    (source / "config.json").write_text("{}")
    local = settings.model_copy(update={"path": source})
    planted(local)

    source.rename(tmp_path / "moved")

    assert find(local) is not None


def test_an_image_without_the_package_of_the_model_takes_its_export(
    settings: ModelSettings,
) -> None:
    bundled = ModelSource(name="tiny", location="/packages/tiny", revision=None, digest="d1")
    exporter = ModelKey(
        source=bundled, backend="openvino", versions={"openvino": "1", "sentence-transformers": "6"}
    )
    folder = planted(settings, exporter)
    image = key_of(settings, {"openvino": "1"})
    could_load_it_from_the_hub = key_of(settings, dict(exporter.versions))

    assert ExportedModel.read(folder, image) is not None
    assert ExportedModel.read(folder, could_load_it_from_the_hub) is None


@pytest.mark.parametrize("form", ["{}", "./{}"], ids=["absolute", "relative"])
def test_a_path_as_name_is_named_as_its_folder(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-model").mkdir()
    name = form.format(tmp_path / "my-model" if form == "{}" else "my-model")

    source = source_of(ModelSettings(name=name))

    assert (source.name, source.location) == ("my-model", str(tmp_path / "my-model"))


def test_a_name_of_the_hub_stays_one() -> None:
    source = source_of(ModelSettings(name="intfloat/e5-small", revision="abc"))

    assert source == ModelSource(
        name="intfloat/e5-small", location="intfloat/e5-small", revision="abc", digest=None
    )


def test_the_default_model_comes_with_a_package() -> None:
    source = source_of(ModelSettings())

    assert source.name == "all-MiniLM-L6-v2"
    assert (Path(source.location) / "modules.json").is_file()


def test_a_failed_export_leaves_nothing_and_names_the_command(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    settings = ModelSettings(name="none", path=empty, cache=tmp_path / "cache")

    with pytest.raises(ExportedModelError, match="python -m embedder export-model"):
        ensure(settings)
    assert [path.name for path in (tmp_path / "cache" / "none").iterdir()] == [".lock"]


def test_prompts_of_the_settings_win_over_the_models() -> None:
    spec = ModelSpec(name="m", dimension=1, max_tokens=16, query_prompt="q: ", passage_prompt="p: ")

    def tokens(text: str) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        return np.array([ord(character) for character in text], np.int32)

    own = with_prompts(spec, ModelSettings(), tokens)
    other = with_prompts(spec, ModelSettings(passage_prompt="x "), tokens)

    assert (own.query_prompt, own.passage_prompt_ids) == ("q: ", (112, 58))
    assert (other.passage_prompt, other.passage_prompt_ids) == ("x ", (120,))


def test_the_self_check_has_texts_of_all_lengths_and_scripts() -> None:
    texts = check_texts()

    assert len(texts) >= 64
    assert "" in texts
    assert max(len(text) for text in texts) > 2000
    assert any("東" in text for text in texts)


def test_cosines_tell_equal_from_opposite() -> None:
    rows = np.array([[3.0, 4.0], [1.0, 0.0]], np.float32)

    assert cosines(rows, rows * np.array([[2], [-1]], np.float32)).tolist() == [1.0, -1.0]


def test_settings_come_from_variables(tmp_path: Path) -> None:
    env = {
        "MODEL_NAME": "m",
        "MODEL_CACHE": str(tmp_path),
        "MODEL_BACKEND": "hash",
        "MODEL_PRECISION": "bf16",
        "MODEL_THREADS": "2",
    }

    settings = read(ModelSettings, env)

    assert settings.cache_folder == tmp_path
    assert (settings.backend, settings.precision, settings.threads) == ("hash", "bf16", 2)
    assert ModelSettings.model_validate_json(settings.model_dump_json()) == settings
    assert json.loads(settings.model_dump_json())["path"] is None


def agreeing(*good: str) -> Callable[[str], dict[str, object]]:
    def attempt(form: str) -> dict[str, object]:
        if form not in good:
            raise ExportedModelError(f"{form} differs")
        return {"cosine_min": 1.0}

    return attempt


@pytest.mark.parametrize(
    ("good", "form", "said"),
    [
        (("LEAN", "PLAIN"), "lean", []),
        (("PLAIN",), "as it is", ["The lean form will not do: LEAN differs"]),
    ],
    ids=["agrees", "differs"],
)
def test_a_faster_form_is_taken_only_where_it_agrees(
    good: tuple[str, ...], form: str, said: list[str]
) -> None:
    heard: list[str] = []

    result = model_export.first_that_agrees(
        [("lean", "LEAN"), ("as it is", "PLAIN")], agreeing(*good), heard.append
    )

    assert result == {"cosine_min": 1.0, "form": form}
    assert heard == said


def test_an_export_of_which_no_form_agrees_is_refused() -> None:
    with pytest.raises(ExportedModelError, match="PLAIN differs"):
        model_export.first_that_agrees(
            [("lean", "LEAN"), ("as it is", "PLAIN")], agreeing(), lambda _: None
        )
