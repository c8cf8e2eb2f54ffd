"""The ways in: Ingress and HTTPRoute, of no controller in particular."""

from pathlib import Path

import pytest

from tests.charts.rendering import CHART, Object, Renderer

OVERLAYS = sorted(CHART.glob("values-ingress-*.yaml"))
TLS = [{"secretName": "certificate", "hosts": ["docs.example"]}]


def the(objects: list[Object], kind: str) -> Object:
    (found,) = [item for item in objects if item["kind"] == kind]
    return found


def test_an_ingress_is_of_no_controller_unless_told(render: Renderer) -> None:
    ingress = the(render({"ingress": {"enabled": True}}), "Ingress")
    assert "annotations" not in ingress["metadata"]
    assert "ingressClassName" not in ingress["spec"]


def test_an_ingress_leads_to_the_api_by_a_port_that_is_there(render: Renderer) -> None:
    hosts = [{"host": "docs.example", "paths": [{"path": "/"}]}, {"host": "*.docs.example"}]
    objects = render({"ingress": {"enabled": True, "hosts": hosts, "tls": TLS}})
    ingress = the(objects, "Ingress")
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ["docs.example", "*.docs.example"]
    assert ingress["spec"]["tls"] == TLS
    services = {item["metadata"]["name"]: item for item in objects if item["kind"] == "Service"}
    for rule in ingress["spec"]["rules"]:
        (path,) = rule["http"]["paths"]
        backend = path["backend"]["service"]
        ports = services[backend["name"]]["spec"]["ports"]
        assert backend["port"]["name"] in {port["name"] for port in ports}


def test_a_route_leads_to_the_api_and_sets_no_limit_of_time(render: Renderer) -> None:
    parent = {"name": "public", "namespace": "gateways", "sectionName": "https"}
    route = {"enabled": True, "parentRefs": [parent], "hostnames": ["docs.example"]}
    objects = render({"httpRoute": route, "ingestApi": {"service": {"port": 8000}}})
    spec = the(objects, "HTTPRoute")["spec"]
    assert (spec["parentRefs"], spec["hostnames"]) == ([parent], ["docs.example"])
    (rule,) = spec["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["backendRefs"] == [{"name": "rag-kartoteka-ingest-api", "port": 8000}]


def test_a_route_without_a_gateway_is_refused(render: Renderer) -> None:
    assert "parentRefs" in render.refuses({"httpRoute": {"enabled": True}})


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlays_of_controllers_make_an_ingress_of_their_class(
    helm: Renderer, overlay: Path
) -> None:
    ingress = the(helm(overlay), "Ingress")
    assert overlay.stem == f"values-ingress-{ingress['spec']['ingressClassName']}"
