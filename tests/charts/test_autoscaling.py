"""One switch for scaling, and the budgets that go with the number of pods."""

from typing import Any

import pytest

from tests.charts.rendering import Object, Renderer

SASL: dict[str, Any] = {"enabled": True, "existingSecret": "brokers", "passwordKey": "secret"}
BROKERS: dict[str, Any] = {
    "mode": "external",
    "external": {"bootstrapServers": "a.example:9093,b.example:9093"},
}
MINIMUM: dict[str, Any] = {"minAvailable": 1, "maxUnavailable": ""}


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    return {
        item["metadata"]["name"].removeprefix("rag-kartoteka-"): item
        for item in objects
        if item["kind"] == kind
    }


def scaled(render: Renderer, *values: dict[str, Any]) -> dict[str, Any]:
    objects = render({"autoscaling": {"engine": "keda"}}, *values)
    spec: dict[str, Any] = of_kind(objects, "ScaledObject")["embedder"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("engine", "scalers"),
    [("none", set()), ("hpa", {"ingest-api", "embedder"}), ("keda", {"ingest-api"})],
)
def test_one_switch_decides_who_sets_the_number_of_pods(
    render: Renderer, engine: str, scalers: set[str]
) -> None:
    objects = render({"autoscaling": {"engine": engine}})
    assert set(of_kind(objects, "HorizontalPodAutoscaler")) == scalers
    assert set(of_kind(objects, "ScaledObject")) == ({"embedder"} if engine == "keda" else set())
    for deployment in of_kind(objects, "Deployment").values():
        assert ("replicas" in deployment["spec"]) == (engine == "none")


@pytest.mark.parametrize("engine", ["hpa", "keda"])
def test_scalers_name_deployments_that_are_there(render: Renderer, engine: str) -> None:
    objects = render({"autoscaling": {"engine": engine}})
    names = {item["metadata"]["name"] for item in of_kind(objects, "Deployment").values()}
    for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        for item in of_kind(objects, kind).values():
            target = item["spec"]["scaleTargetRef"]
            assert (target["kind"], target["name"] in names) == ("Deployment", True)


def test_cpu_is_that_of_our_own_container_whatever_runs_beside_it(render: Renderer) -> None:
    objects = render({"autoscaling": {"engine": "hpa"}})
    deployments = of_kind(objects, "Deployment")
    for name, item in of_kind(objects, "HorizontalPodAutoscaler").items():
        (metric,) = item["spec"]["metrics"]
        pod = deployments[name]["spec"]["template"]["spec"]
        (container,) = [
            item
            for item in pod["containers"]
            if item["name"] == metric["containerResource"]["container"]
        ]
        assert "cpu" in container["resources"]["requests"]


@pytest.mark.parametrize("engine", ["hpa", "keda"])
def test_embedders_go_late_and_one_by_one(render: Renderer, engine: str) -> None:
    if engine == "keda":
        behavior = scaled(render)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    else:
        objects = render({"autoscaling": {"engine": "hpa"}})
        behavior = of_kind(objects, "HorizontalPodAutoscaler")["embedder"]["spec"]["behavior"]
    down = behavior["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= 300
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 120}]


def test_keda_asks_for_the_lag_of_both_classes_of_work(render: Renderer) -> None:
    spec = scaled(render, {"embedder": {"settings": {"WORKER_GROUP": "others"}}})
    triggers = [trigger["metadata"] for trigger in spec["triggers"]]
    assert {item["topic"]: item["lagThreshold"] for item in triggers} == {
        "documents.interactive": "20",
        "documents.bulk": "500",
    }
    assert {item["consumerGroup"] for item in triggers} == {"others"}
    assert {item["bootstrapServers"] for item in triggers} == {"rag-kartoteka-kafka.docs.svc:9092"}
    assert all("authenticationRef" not in trigger for trigger in spec["triggers"])


def test_keda_never_takes_the_last_embedder_nor_trusts_a_lag_that_it_cannot_read(
    render: Renderer,
) -> None:
    spec = scaled(render, {"autoscaling": {"embedder": {"minReplicas": 1}}})
    assert spec["minReplicaCount"] == 1
    assert spec["fallback"]["replicas"] == 3
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"


def test_keda_has_the_embedders_way_into_kafka(render: Renderer) -> None:
    kafka = {**BROKERS, "sasl": SASL, "tls": {"enabled": True, "caSecret": "authority"}}
    objects = render({"autoscaling": {"engine": "keda"}, "kafka": kafka})
    spec = of_kind(objects, "ScaledObject")["embedder"]["spec"]
    for trigger in spec["triggers"]:
        assert trigger["metadata"]["sasl"] == "scram_sha512"
        assert trigger["metadata"]["tls"] == "enable"
        assert trigger["authenticationRef"] == {"name": "rag-kartoteka-kafka"}
    authentication = of_kind(objects, "TriggerAuthentication")["kafka"]["spec"]
    assert {
        item["parameter"]: (item["name"], item["key"]) for item in authentication["secretTargetRef"]
    } == {"password": ("brokers", "secret"), "ca": ("authority", "ca.crt")}
    (username,) = authentication["env"]
    embedder = of_kind(objects, "Deployment")["embedder"]["spec"]["template"]["spec"]
    container = next(
        item for item in embedder["containers"] if item["name"] == username["containerName"]
    )
    assert username["name"] in {item["name"] for item in container["env"]}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"ingest-api", "embedder"}),
        ({"ingestApi": {"replicas": 1}}, {"embedder"}),
        ({"embedder": {"pdb": {"enabled": False}}}, {"ingest-api"}),
        ({"autoscaling": {"engine": "hpa"}}, {"ingest-api", "embedder"}),
        (
            {"autoscaling": {"engine": "hpa"}, "embedder": {"pdb": MINIMUM}},
            {"ingest-api"},
        ),
    ],
    ids=["two of each", "one", "not wanted", "scaled", "a minimum of the only one"],
)
def test_budgets_are_made_where_they_cannot_hold_up_a_drain(
    render: Renderer, values: dict[str, Any], expected: set[str]
) -> None:
    budgets = of_kind(render(values), "PodDisruptionBudget")
    assert set(budgets) == expected
    for budget in budgets.values():
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_minimum_stands_instead_of_a_maximum(render: Renderer) -> None:
    values = {"embedder": {"pdb": {**MINIMUM, "minAvailable": "50%"}}}
    spec = of_kind(render(values), "PodDisruptionBudget")["embedder"]["spec"]
    assert spec["minAvailable"] == "50%"
    assert "maxUnavailable" not in spec
