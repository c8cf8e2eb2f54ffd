"""Default-deny both ways, and what is let through: no more and no less than what pods are told."""

from typing import Any

import pytest

from tests.charts.reachability import Endpoint, Pod, allows, claims, pods
from tests.charts.rendering import Object, Renderer

EXTERNAL: dict[str, Any] = {
    "kafka": {"mode": "external", "external": {"bootstrapServers": "a.example:19092"}},
    "qdrant": {"mode": "external", "external": {"url": "https://qdrant.example"}},
    "objectStorage": {
        "mode": "external",
        "external": {"endpoint": "http://s3.example:3900", "allowHttp": True},
    },
}
STORES = {
    "builtin": dict[str, Any](),
    "external Qdrant": {"qdrant": EXTERNAL["qdrant"]},
    "all external": EXTERNAL,
}
OUTSIDE = 19092


@pytest.fixture(params=STORES)
def objects(request: pytest.FixtureRequest, render: Renderer) -> list[Object]:
    return render(STORES[str(request.param)])


def by_component(objects: list[Object]) -> dict[str, Pod]:
    return {pod.component: pod for pod in pods(objects)}


def connects(objects: list[Object], source: Pod, target: Pod, port: int) -> bool:
    out = allows(objects, "Egress", source, Endpoint(port=port, labels=target.labels))
    return out and allows(objects, "Ingress", target, Endpoint(port=port, labels=source.labels))


def test_every_pod_is_denied_all_but_what_is_named(objects: list[Object]) -> None:
    stranger = {"app": "stranger"}
    for pod in pods(objects):
        for namespace in ("docs", "other"):
            other = Endpoint(port=4444, labels=stranger, namespace=namespace)
            assert not allows(objects, "Ingress", pod, other), pod.name
            assert not allows(objects, "Egress", pod, other), pod.name
        assert not allows(objects, "Egress", pod, Endpoint(port=22)), pod.name


def test_pods_get_where_they_are_told_to_go(objects: list[Object]) -> None:
    known = by_component(objects)
    asked = claims(objects)
    assert ("ingest-api", "embedder", 8081) in asked
    assert ("tests", "ingest-api", 8080) in asked
    for source, target, port in asked:
        assert connects(objects, known[source], known[target], port), (source, target, port)


def test_pods_get_nowhere_else(objects: list[Object]) -> None:
    asked = claims(objects)
    everybody = pods(objects)
    for source in everybody:
        for target in everybody:
            for port in (8080, 8081, 9092, 6333, 6334, 8333):
                if source.component == target.component or port not in _ports(target):
                    continue
                expected = (source.component, target.component, port) in asked
                assert connects(objects, source, target, port) == expected, (
                    f"{source.name} to {target.name}:{port}"
                )


def _ports(pod: Pod) -> set[int]:
    found = [port for item in pod.spec["containers"] for port in item.get("ports", [])]
    return {int(port["containerPort"]) for port in found}


def test_every_pod_has_a_policy_of_its_own(render: Renderer) -> None:
    for values in ({}, {"scheduler": {"enabled": False}}):
        objects = render(values)
        named = {
            item["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
            for item in objects
            if item["kind"] == "NetworkPolicy"
        }
        assert {pod.component for pod in pods(objects)} == named - {None}


def test_reindexing_by_hand_gets_to_kafka_without_the_scheduler(render: Renderer) -> None:
    objects = render({"scheduler": {"enabled": False}})
    known = by_component(objects)
    assert "scheduler" not in known
    assert connects(objects, known["reindex"], known["kafka"], 9092)


def test_every_pod_can_resolve_names(objects: list[Object]) -> None:
    dns = {"k8s-app": "kube-dns"}
    for pod in pods(objects):
        for protocol in ("UDP", "TCP"):
            server = Endpoint(port=53, labels=dns, namespace="kube-system", protocol=protocol)
            assert allows(objects, "Egress", pod, server), pod.name


def test_external_stores_are_reached_on_their_own_ports(render: Renderer) -> None:
    objects = render(EXTERNAL)
    known = by_component(objects)
    for component in ("ingest-api", "embedder", "reconcile"):
        for port in (OUTSIDE, 443, 3900):
            assert allows(objects, "Egress", known[component], Endpoint(port=port))
    for component in ("scheduler", "reindex", "topics"):
        assert allows(objects, "Egress", known[component], Endpoint(port=OUTSIDE))
    assert not allows(objects, "Egress", known["tests"], Endpoint(port=OUTSIDE))


def test_nobody_goes_out_where_all_stores_are_built_in(render: Renderer) -> None:
    objects = render()
    for pod in pods(objects):
        goes_to_api_server = pod.component == "scheduler"
        assert allows(objects, "Egress", pod, Endpoint(port=443)) == goes_to_api_server, pod.name


def test_embedders_reach_sources_outside(render: Renderer) -> None:
    objects = render({"sources": {"allowedUrls": ["s3://others"]}})
    known = by_component(objects)
    assert allows(objects, "Egress", known["embedder"], Endpoint(port=443))
    assert not allows(objects, "Egress", known["reconcile"], Endpoint(port=443))


def test_external_stores_may_be_narrowed_to_a_network(render: Renderer) -> None:
    to = {"networkPolicy": {"storesTo": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}
    objects = render(EXTERNAL, to)
    embedder = by_component(objects)["embedder"]
    stranger = Endpoint(port=OUTSIDE, labels={"app": "stranger"}, namespace="other")
    assert allows(objects, "Egress", embedder, Endpoint(port=OUTSIDE))
    assert not allows(objects, "Egress", embedder, stranger)


def test_the_platforms_own_credentials_are_got_from_the_node(render: Renderer) -> None:
    secret = {"objectStorage": {"credentials": {"existingSecret": "s3"}}}
    for values, expected in (({}, True), (secret, False)):
        objects = render(EXTERNAL, values)
        embedder = by_component(objects)["embedder"]
        assert allows(objects, "Egress", embedder, Endpoint(port=80)) == expected


def test_so_are_those_for_sources_whatever_the_own_storage_takes(render: Renderer) -> None:
    urls = {"allowedUrls": ["s3://others"]}
    secret = {"existingSecret": "theirs"}
    for sources, expected in (({}, False), (urls, True), ({**urls, **secret}, False)):
        objects = render({"sources": sources})
        known = by_component(objects)
        assert allows(objects, "Egress", known["embedder"], Endpoint(port=80)) == expected
        assert not allows(objects, "Egress", known["ingest-api"], Endpoint(port=80))


def test_prometheus_gets_to_metrics_and_a_stranger_to_the_api_only(render: Renderer) -> None:
    objects = render()
    known = by_component(objects)
    prometheus = Endpoint(port=8081, labels={"app": "prometheus"}, namespace="monitoring")
    stranger = Endpoint(port=8081, labels={"app": "stranger"}, namespace="other")
    assert allows(objects, "Ingress", known["embedder"], prometheus)
    assert not allows(objects, "Ingress", known["embedder"], stranger)
    caller = Endpoint(port=8080, labels={"app": "stranger"}, namespace="other")
    assert allows(objects, "Ingress", known["ingest-api"], caller)


def test_the_api_may_be_closed_to_all_but_some(render: Renderer) -> None:
    gateway = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}
    objects = render({"networkPolicy": {"ingestApiFrom": [gateway]}})
    known = by_component(objects)
    for namespace, expected in {"gateway": True, "monitoring": True, "other": False}.items():
        caller = Endpoint(port=8080, labels={"app": "x"}, namespace=namespace)
        assert allows(objects, "Ingress", known["ingest-api"], caller) == expected
    assert connects(objects, known["tests"], known["ingest-api"], 8080)


def test_kedas_operator_reads_the_built_in_kafka_only_where_it_scales(render: Renderer) -> None:
    operator = Endpoint(port=9092, labels={"app": "keda-operator"}, namespace="keda")
    for engine, expected in {"keda": True, "hpa": False}.items():
        objects = render({"autoscaling": {"engine": engine}})
        assert allows(objects, "Ingress", by_component(objects)["kafka"], operator) == expected


@pytest.mark.parametrize(("tls", "port"), [(False, 9092), (True, 9093)])
def test_strimzis_pods_are_reached_by_the_operators_own_label(
    render: Renderer, *, tls: bool, port: int
) -> None:
    copies = {"replicationFactor": 3, "minInsyncReplicas": 2}
    objects = render({"kafka": {"mode": "strimzi", "tls": {"enabled": tls}, **copies}})
    kafka = next(item for item in objects if item["kind"] == "Kafka")
    assert port in {listener["port"] for listener in kafka["spec"]["kafka"]["listeners"]}
    broker = Endpoint(port=port, labels={"strimzi.io/cluster": kafka["metadata"]["name"]})
    known = by_component(objects)
    for component in ("ingest-api", "embedder", "scheduler", "reindex", "reconcile", "topics"):
        assert allows(objects, "Egress", known[component], broker)


def test_traces_get_to_their_collector(render: Renderer) -> None:
    tracing = {"tracing": {"enabled": True, "endpoint": "http://collector.otel:4318"}}
    collector = Endpoint(port=4318, labels={"app": "collector"}, namespace="otel")
    for values, expected in (({}, False), (tracing, True)):
        objects = render(values)
        known = by_component(objects)
        for component in ("ingest-api", "embedder"):
            assert allows(objects, "Egress", known[component], collector) == expected
        for component in ("scheduler", "reindex", "reconcile", "topics", "tests"):
            assert not allows(objects, "Egress", known[component], collector)


def test_traces_get_to_the_port_behind_the_collectors_service(render: Renderer) -> None:
    """Policies are applied to an address that the Service's has been replaced by."""
    tracing = {"enabled": True, "endpoint": "http://collector.otel"}
    for policy, reached in (({}, {80, 4318}), ({"tracingPorts": [55681]}, {80, 55681})):
        objects = render({"tracing": tracing, "networkPolicy": policy})
        embedder = by_component(objects)["embedder"]
        pod = {"app": "collector"}
        for port in (80, 4318, 55681):
            collector = Endpoint(port=port, labels=pod, namespace="otel")
            assert allows(objects, "Egress", embedder, collector) == (port in reached)


def test_policies_can_be_left_out(render: Renderer) -> None:
    kinds = {item["kind"] for item in render({"networkPolicy": {"enabled": False}})}
    assert "NetworkPolicy" not in kinds
