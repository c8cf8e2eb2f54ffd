"""Files of values for whole installations."""

from pathlib import Path
from typing import Any

import pytest

from tests.charts.rendering import CHART, Object, Renderer

STORES: dict[str, Any] = {
    "qdrant": {"external": {"url": "http://qdrant.example:6333"}},
    "objectStorage": {"external": {"url": "s3://bucket/prefix"}},
}


def overlay(name: str) -> Path:
    return CHART / f"values-{name}.yaml"


def kinds(objects: list[Object]) -> set[str]:
    return {item["kind"] for item in objects}


def embedder(objects: list[Object]) -> dict[str, Any]:
    (found,) = [
        item
        for item in objects
        if item["kind"] == "Deployment" and item["metadata"]["name"].endswith("-embedder")
    ]
    spec: dict[str, Any] = found["spec"]
    return spec


def env(spec: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item for item in spec["template"]["spec"]["containers"][0]["env"]}


def test_one_machine_has_one_of_each_and_no_budgets(helm: Renderer) -> None:
    objects = helm(overlay("dev"))
    deployments = [item for item in objects if item["kind"] == "Deployment"]
    assert {item["spec"]["replicas"] for item in deployments} == {1}
    assert "PodDisruptionBudget" not in kinds(objects)


def test_production_has_copies_and_scales_and_is_watched(helm: Renderer) -> None:
    objects = helm(overlay("production"), overlay("external"))
    assert "StatefulSet" not in kinds(objects)
    assert kinds(objects) >= {
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PodMonitor",
        "PrometheusRule",
        "ScaledObject",
        "ServiceMonitor",
        "TriggerAuthentication",
    }
    found = env(embedder(objects))
    assert found["KAFKA_JOB_PARTITIONS"]["value"] == "96"
    assert found["KAFKA_REPLICATION_FACTOR"]["value"] == "3"
    assert found["KAFKA_MIN_INSYNC_REPLICAS"]["value"] == "2"
    assert found["KAFKA_SECURITY_PROTOCOL"]["value"] == "SASL_SSL"
    assert not [item for item in found.values() if "PASSWORD" in item["name"] and "value" in item]


def test_production_can_scale_without_keda(render: Renderer) -> None:
    objects = render(
        overlay("production"),
        overlay("external"),
        {"autoscaling": {"engine": "hpa"}},
        validate=False,
    )
    assert "ScaledObject" not in kinds(objects)
    assert len([item for item in objects if item["kind"] == "HorizontalPodAutoscaler"]) == 2


def test_uploads_under_way_fit_into_productions_memory(render: Renderer) -> None:
    objects = render(overlay("production"), overlay("external"))
    (api,) = [
        item["spec"]
        for item in objects
        if item["kind"] == "Deployment" and item["metadata"]["name"].endswith("-ingest-api")
    ]
    (container,) = api["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "1Gi"
    assert 16 * int(env(api)["UPLOAD_MAX_IN_FLIGHT"]["value"]) + 256 <= 1024


def test_what_must_outlive_a_zone_never_shares_one(helm: Renderer) -> None:
    objects = helm(overlay("ha"), STORES)
    spec = embedder(objects)
    spread = spec["template"]["spec"]["topologySpreadConstraints"]
    assert {item["topologyKey"]: item["whenUnsatisfiable"] for item in spread} == {
        "kubernetes.io/hostname": "DoNotSchedule",
        "topology.kubernetes.io/zone": "DoNotSchedule",
    }
    assert spec["replicas"] == 3
    assert env(spec)["KAFKA_REPLICATION_FACTOR"]["value"] == "3"


def test_external_stores_leave_none_built_in(helm: Renderer) -> None:
    assert not kinds(helm(overlay("external"))) & {"StatefulSet", "PersistentVolumeClaim"}


@pytest.mark.parametrize("path", sorted(CHART.glob("values-*.yaml")), ids=lambda path: path.stem)
def test_every_overlay_is_known_to_these_tests(path: Path) -> None:
    known = {"dev", "external", "ha", "production"}
    name = path.stem.removeprefix("values-")
    assert name in known or name.startswith("ingress-")
