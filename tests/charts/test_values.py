"""values.schema.json refuses what values.yaml does not name, and what cannot be meant."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.charts.rendering import CHART, Object, Renderer


@cache
def _schema() -> Object:
    found: Object = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    Draft7Validator.check_schema(found)
    return found


@cache
def _values() -> Object:
    found: Object = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    return found


def _complaints(values: Any) -> list[str]:
    return [f"{e.json_path}: {e.message}" for e in Draft7Validator(_schema()).iter_errors(values)]


def _nested(path: tuple[str, ...], value: Any) -> Object:
    found: Object = {path[-1]: value}
    for name in reversed(path[:-1]):
        found = {name: found}
    return found


def _levels(schema: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every place whose keys the schema names."""
    if "properties" in schema:
        if schema.get("additionalProperties") is False:
            yield path
        for name, child in schema["properties"].items():
            yield from _levels(child, (*path, name))


def test_the_defaults_and_every_overlay_fit_the_schema() -> None:
    files = sorted(CHART.glob("values*.yaml"))
    assert len(files) >= 8
    for path in files:
        assert _complaints(yaml.safe_load(path.read_text("utf-8"))) == [], path.name


def test_a_misspelt_key_is_refused_at_every_level() -> None:
    levels = list(_levels(_schema()))
    assert len(levels) > 60
    for path in levels:
        values = _nested((*path, "replicsa"), 1)
        assert any("replicsa" in text for text in _complaints(values)), path


@pytest.mark.parametrize(
    "path",
    [
        ("ingestAPI",),
        ("ingestApi", "replica"),
        ("embedder", "parser", "childs"),
        ("kafka", "builtin", "storage", "siz"),
        ("autoscaling", "embedder", "minReplica"),
    ],
    ids=".".join,
)
def test_helm_refuses_a_misspelt_key_and_names_it(helm: Renderer, path: tuple[str, ...]) -> None:
    message = helm.refuses(_nested(path, 1))
    assert path[-1] in message
    assert "ot allowed" in message


def test_schema_and_values_name_the_same_keys() -> None:
    # A parent chart's condition on this one, see docs/chart_schema.py.
    alone = {"enabled"}
    assert _names(_schema()) - alone == _keys(_values())


def _names(schema: Object, path: str = "") -> set[str]:
    """Return the keys that the schema has and values.yaml could have, too."""
    found = set()
    for name, child in schema.get("properties", {}).items():
        below = f"{path}.{name}".lstrip(".")
        found |= {below} | (_names(child, below) if name != "resources" else set())
    return found


def _keys(values: Object, path: str = "") -> set[str]:
    found = set()
    for name, child in values.items():
        below = f"{path}.{name}".lstrip(".")
        has_keys = isinstance(child, dict) and name != "resources"
        found |= {below} | (_keys(child, below) if has_keys else set())
    return found


def test_only_maps_of_free_form_have_free_keys() -> None:
    free = set(_open(_schema()))
    assert {name.rpartition(".")[2] for name in free} <= {
        "affinity",
        "annotations",
        "commonAnnotations",
        "commonLabels",
        "global",  # a parent chart's other globals come, too
        "labels",
        "nodeSelector",
        "overrides",
        "podAnnotations",
        "podLabels",
        "settings",
        "limits",
        "requests",
    }


def _open(schema: Object, path: str = "") -> Iterator[str]:
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from _open(child, f"{path}.{name}".lstrip("."))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kafka.jobPartitions", 0),
        ("kafka.jobPartitions", "24"),
        ("kafka.mode", "redpanda"),
        ("kafka.external.bootstrapServers", "kafka"),
        ("kafka.sasl.mechanism", "GSSAPI"),
        ("qdrant.external.url", "qdrant:6333"),
        ("objectStorage.mode", "strimzi"),
        ("tracing.sampleRatio", 1.5),
        ("tracing.endpoint", "collector:4317"),
        ("scheduler.schedule", "every minute"),
        ("scheduler.schedule", "TZ=UTC * * * * *"),
        ("scheduler.timeZone", ""),
        ("scheduler.startingDeadlineSeconds", 5),
        ("ingestApi.replicas", -1),
        ("ingestApi.service.port", 70000),
        ("ingestApi.settings", {"upload": 1}),
        ("ingestApi.resources", {"request": {}}),
        ("ingestApi.resources.limits.memory", "1 GB"),
        ("ingestApi.extraEnv", [{"nam": "A"}]),
        ("ingestApi.extraEnv", [{"name": "A", "value": 1}]),
        ("ingestApi.pdb.minAvailable", "half"),
        ("ingestApi.image.digest", "sha256:abc"),
        ("embedder.scratch.size", "lots"),
        ("autoscaling.engine", "vpa"),
        ("autoscaling.embedder.minReplicas", 0),
        ("alerts.overrides", {"KartotekaDown": {"sevrity": "page"}}),
        ("alerts.overrides", {"KartotekaDown": {"for": "soon"}}),
        ("auth.existingSecret", "My_Secret"),
        ("sources.allowedUrls", ["/data"]),
        ("networkPolicy.storePorts", ["https"]),
        ("ingress.hosts", [{"hosts": "a"}]),
        ("log.level", "INFO"),
        ("commonLabels", {"a": 1}),
    ],
)
def test_what_cannot_be_meant_is_refused(path: str, value: object) -> None:
    assert _complaints(_nested(tuple(path.split(".")), value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("scheduler.schedule", "@hourly"),
        ("scheduler.schedule", "*/5 8-18 * * MON-FRI"),
        ("ingestApi.pdb.minAvailable", "50%"),
        ("ingestApi.resources.requests.cpu", 2),
        ("ingestApi.resources.limits", {"memory": "1Gi", "nvidia.com/gpu": 1}),
        ("global.somebodyElses", True),
        ("enabled", True),
        ("tracing.sampleRatio", 1),
        ("extraObjects", ["kind: ConfigMap", {"kind": "ConfigMap"}]),
    ],
)
def test_what_can_be_meant_is_taken(path: str, value: object) -> None:
    assert _complaints(_nested(tuple(path.split(".")), value)) == []
