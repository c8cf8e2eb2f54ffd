"""What dashboards and alerts ask is what a running system says, by a real Prometheus."""

import asyncio

import pytest
from monitoring_files import asked, metric_names, rules
from observed_stack import Observed, observe

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

OF_THE_CLUSTER = frozenset(
    {
        "kubelet_volume_stats_available_bytes",
        "kubelet_volume_stats_capacity_bytes",
        "kubelet_volume_stats_used_bytes",
        "kube_pod_status_ready",
        "up",
    }
)
"""What kubelets, kube-state-metrics and Prometheus itself tell, not our services."""

EMPTY_HERE = {
    "kartoteka-stores / Free": "there are no kubelets here, which measure volumes",
    "kartoteka-stores / Used": "there are no kubelets here, which measure volumes",
}
"""Panels without data in this stack, each with why that is right."""


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """What a stack and its Prometheus said; one stack for all tests of this module."""
    return asyncio.run(observe(tmp_path_factory.mktemp("observed")))


def test_every_metric_of_panels_and_rules_is_there(observed: Observed) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    expressions = [one.expr for one in asked()] + [rule["expr"] for rule in rules()]
    wanted = set().union(*map(metric_names, expressions)) - recorded
    assert len(wanted) > 50
    assert wanted - observed.names == OF_THE_CLUSTER


def test_every_panel_has_data(observed: Observed) -> None:
    empty = {one.where for one in asked() if observed.answers[one.expr] == 0}
    excused = {where for where in empty if where.rpartition(" / ")[0] in EMPTY_HERE}
    assert sorted(empty - excused) == []
    assert {where.rpartition(" / ")[0] for where in excused} == set(EMPTY_HERE), "not needed"


def test_prometheus_evaluates_every_rule(observed: Observed) -> None:
    assert len(observed.rules) == len({rule.get("alert") or rule["record"] for rule in rules()})
    assert {name: said for name, said in observed.rules.items() if said != "ok"} == {}
