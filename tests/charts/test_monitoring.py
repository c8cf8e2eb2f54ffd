"""Monitors, dashboards and alerts as operators of Prometheus and Grafana find them."""

import json
from typing import Any

import pytest
import yaml

from tests.charts.rendering import CHART, Object, Renderer

ALERTS = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text("utf-8"))
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [item for item in objects if item["kind"] == kind]


def alerts(render: Renderer, **values: Any) -> list[dict[str, Any]]:
    objects = render({"alerts": {"enabled": True, **values}})
    (rule,) = of_kind(objects, "PrometheusRule")
    return [item for group in rule["spec"]["groups"] for item in group["rules"] if "alert" in item]


def test_nothing_is_made_for_operators_that_may_not_be_there(render: Renderer) -> None:
    kinds = {item["kind"] for item in render()}
    assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ScaledObject"}


def test_monitors_find_a_named_port_of_what_they_select(render: Renderer) -> None:
    on = {"enabled": True, "labels": {"release": "prometheus"}}
    objects = render({"metrics": {"serviceMonitor": on, "podMonitor": on}})
    (services,) = of_kind(objects, "ServiceMonitor")
    (pods,) = of_kind(objects, "PodMonitor")
    assert {item["metadata"]["labels"]["release"] for item in (services, pods)} == {"prometheus"}
    (service,) = [
        item
        for item in of_kind(objects, "Service")
        if services["spec"]["selector"]["matchLabels"].items() <= item["metadata"]["labels"].items()
    ]
    (endpoint,) = services["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    (workload,) = [
        item["spec"]["template"]
        for item in of_kind(objects, "Deployment")
        if pods["spec"]["selector"]["matchLabels"].items()
        <= item["spec"]["template"]["metadata"]["labels"].items()
    ]
    (endpoint,) = pods["spec"]["podMetricsEndpoints"]
    ports = {port["name"] for port in workload["spec"]["containers"][0]["ports"]}
    assert endpoint["port"] in ports


def test_every_dashboard_is_a_config_map_as_it_is_in_the_file(helm: Renderer) -> None:
    objects = helm({"dashboards": {"enabled": True, "folder": "Documents", "namespace": "grafana"}})
    maps = [
        item
        for item in of_kind(objects, "ConfigMap")
        if item["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]
    found = {name: json.loads(text) for item in maps for name, text in item["data"].items()}
    assert found == {path.name: json.loads(path.read_text("utf-8")) for path in DASHBOARDS}
    assert DASHBOARDS
    for item in maps:
        assert item["metadata"]["namespace"] == "grafana"
        assert item["metadata"]["annotations"]["grafana_folder"] == "Documents"
        assert sum(len(text.encode()) for text in item["data"].values()) < 1 << 20


def test_rules_are_those_of_the_file_with_prometheus_own_braces(helm: Renderer) -> None:
    objects = helm({"alerts": {"enabled": True}})
    (rule,) = of_kind(objects, "PrometheusRule")
    assert rule["spec"]["groups"] == ALERTS["groups"]
    assert "{{ $labels." in json.dumps(rule)


def test_runbooks_links_begin_with_what_is_set(render: Renderer) -> None:
    plain = {item["alert"]: item["annotations"]["runbook_url"] for item in alerts(render)}
    found = alerts(render, runbookUrl="https://wiki.example/runbooks/")
    for item in found:
        link = item["annotations"]["runbook_url"]
        assert link == f"https://wiki.example/runbooks/{plain[item['alert']]}"


def test_single_alerts_can_be_changed_or_left_out(render: Renderer) -> None:
    first, second, *others = [item["alert"] for item in alerts(render)]
    changes = {first: {"enabled": False}, second: {"for": "42m", "severity": "page"}}
    found = {item["alert"]: item for item in alerts(render, overrides=changes)}
    assert set(found) == {second, *others}
    assert found[second]["for"] == "42m"
    assert found[second]["labels"]["severity"] == "page"


_ON: Any = {"enabled": True}
_OFF: Any = {"enabled": False}


@pytest.mark.parametrize(
    ("values", "left_out"),
    [
        ({"metrics": {"serviceMonitor": _ON}}, {"KartotekaNoApi", "KartotekaNoWorkers"}),
        ({"metrics": {"podMonitor": _ON}}, {"KartotekaNoApi", "KartotekaNoWorkers"}),
        ({"metrics": {"serviceMonitor": _ON, "podMonitor": _ON}}, set()),
        ({"scheduler": _OFF}, {"KartotekaReindexMissed"}),
        ({"reconcile": _OFF}, {"KartotekaReconcileMissed", "KartotekaReconcileFailed"}),
    ],
    ids=lambda case: str(case) if isinstance(case, dict) else "",
)
def test_alerts_that_nothing_could_judge_are_left_out_unless_wanted(
    render: Renderer, values: dict[str, Any], left_out: set[str]
) -> None:
    def found(**settings: Any) -> set[str]:
        rules = of_kind(render(values | {"alerts": _ON | settings}), "PrometheusRule")
        groups = [group for rule in rules for group in rule["spec"]["groups"]]
        return {item["alert"] for group in groups for item in group["rules"] if "alert" in item}

    everything = {item["alert"] for item in alerts(render)}
    assert found() == everything - left_out
    assert found(overrides=dict.fromkeys(left_out, _ON)) == everything


def test_a_change_of_an_alert_that_is_not_there_is_refused(render: Renderer) -> None:
    values = {"alerts": {"enabled": True, "overrides": {"KartotekaTypo": {"enabled": False}}}}
    message = render.refuses(values)
    assert "there is no such alert" in message


@pytest.mark.parametrize("key", ["serviceMonitor", "podMonitor"])
def test_relabelings_are_taken_over(render: Renderer, key: str) -> None:
    rule = [{"sourceLabels": ["a"], "targetLabel": "b"}]
    objects = render({"metrics": {key: {"enabled": True, "relabelings": rule}}})
    (monitor,) = [item for item in objects if item["kind"].lower() == key.lower()]
    spec = monitor["spec"]
    (endpoint,) = spec.get("endpoints") or spec["podMetricsEndpoints"]
    assert endpoint["relabelings"] == rule
