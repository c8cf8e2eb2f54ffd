"""skaffold.yaml against Skaffold's own schema, and against what it names."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
OWN = {
    "kartoteka/ingest-api": "ingestApi",
    "kartoteka/embedder": "embedder",
    "kartoteka/scheduler": "scheduler",
}


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text("utf-8"))
    return loaded


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    text = Path(__file__).with_name("v4beta14.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def patched(config: dict[str, Any], profile: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with a profile's patches, each of one value."""
    whole = copy.deepcopy(config)
    for patch in profile.get("patches", []):
        *way, last = patch["path"].strip("/").split("/")
        place: Any = whole
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        assert (last in place) == (patch["op"] == "replace"), patch
        place[last] = patch["value"]
    return whole


def release(config: dict[str, Any]) -> dict[str, Any]:
    only: list[dict[str, Any]] = config["deploy"]["helm"]["releases"]
    return only[0]


def value(values: Any, path: str) -> Any:
    for step in path.split("."):
        name, _, index = step.partition("[")
        assert name in values, path
        values = values[name]
        if index:
            return values
    return values


def test_it_is_what_skaffold_understands(config: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.validate(config, schema)


def test_a_misspelt_key_is_refused(config: dict[str, Any], schema: dict[str, Any]) -> None:
    wrong = copy.deepcopy(config)
    wrong["build"]["artefacts"] = wrong["build"].pop("artifacts")

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_every_profile_gives_what_skaffold_understands(
    config: dict[str, Any], schema: dict[str, Any]
) -> None:
    assert {profile["name"] for profile in config["profiles"]} == {"dev", "ci", "external"}
    for profile in config["profiles"]:
        whole = patched(config, profile)
        jsonschema.validate(whole, schema)
        for file in release(whole)["valuesFiles"]:
            assert (ROOT / file).is_file()


def test_every_artifact_is_built_from_a_dockerfile_that_is_there(config: dict[str, Any]) -> None:
    for artifact in config["build"]["artifacts"]:
        assert (ROOT / artifact["context"] / artifact["docker"]["dockerfile"]).is_file()


def test_every_image_goes_into_the_chart(config: dict[str, Any]) -> None:
    templates = release(config)["setValueTemplates"]

    built = {artifact["image"] for artifact in config["build"]["artifacts"]}
    assert built - {"kartoteka/acceptance"} == set(OWN)
    for image, key in OWN.items():
        variable = re.sub(r"[/.:-]", "_", image)
        assert templates[f"{key}.image.repository"] == f"{{{{.IMAGE_REPO_{variable}}}}}"
        assert templates[f"{key}.image.tag"] == f"{{{{.IMAGE_TAG_{variable}}}}}"


def test_every_value_that_is_set_is_one_of_the_chart(config: dict[str, Any]) -> None:
    values = yaml.safe_load((ROOT / "charts/kartoteka/values.yaml").read_text("utf-8"))

    for profile in (*config["profiles"], {}):
        of = release(patched(config, profile))
        for path in {**of["setValueTemplates"], **of.get("setValues", {})}:
            value(values, path)


def test_what_is_synchronised_is_where_packages_lie(config: dict[str, Any]) -> None:
    for artifact in config["build"]["artifacts"]:
        for rule in artifact.get("sync", {}).get("manual", []):
            assert rule["src"] == f"{rule['strip']}**/*.py"
            packages = [path for path in (ROOT / rule["strip"]).iterdir() if path.is_dir()]
            before = artifact["sync"]["hooks"]["before"][0]["container"]["command"][-1]
            assert [path.name in before.split("for package in ")[1] for path in packages] == [True]


def test_what_is_verified_runs_in_the_image_that_is_built(config: dict[str, Any]) -> None:
    (case,) = config["verify"]
    path = case["executionMode"]["kubernetesCluster"]["jobManifestPath"]
    job = yaml.safe_load((ROOT / path).read_text("utf-8"))

    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert (container["name"], container["image"]) == tuple(case["container"].values())
    built = [artifact["image"] for artifact in config["build"]["artifacts"]]
    assert case["container"]["image"] in built
