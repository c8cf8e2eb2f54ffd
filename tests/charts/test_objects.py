"""Rules for the objects of every way to install the chart, and for what they say of each other."""

from collections import Counter

from tests.charts.modes import THEIRS
from tests.charts.objects import Pod, containers, of_kind, pods, selects
from tests.charts.rendering import NAMESPACE, Object, Renderer

_OPERATORS_NAMES = frozenset({"rag-kartoteka-kafka-user", "rag-kartoteka-cluster-ca-cert"})
"""Secrets that Strimzi's operator makes."""


def _name(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


def _ours(objects: list[Object]) -> list[Object]:
    return [item for item in objects if item["kind"] not in {"KafkaUser", "ConfigMap"}]


def test_no_object_is_there_twice(installed: list[Object]) -> None:
    twice = [name for name, count in Counter(map(_name, installed)).items() if count > 1]
    assert twice == []


def test_names_leave_room_for_what_is_put_behind_them(installed: list[Object]) -> None:
    for item in installed:
        most = 52 if item["kind"] in {"CronJob", "StatefulSet"} else 63
        assert len(item["metadata"]["name"]) <= most, _name(item)


def test_every_object_is_in_the_namespace_of_the_release(installed: list[Object]) -> None:
    for item in installed:
        is_dashboard = item["metadata"]["labels"].get("app.kubernetes.io/component") == "dashboards"
        if not is_dashboard:
            assert item["metadata"]["namespace"] == NAMESPACE, _name(item)


def test_every_object_says_what_it_belongs_to(installed: list[Object]) -> None:
    for item in installed:
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"], _name(item)
        assert labels["app.kubernetes.io/instance"] == "rag", _name(item)
        assert labels["app.kubernetes.io/managed-by"] == "Helm", _name(item)
        assert labels["helm.sh/chart"] == "kartoteka-0.1.0", _name(item)
        assert all(len(value) <= 63 for value in labels.values()), _name(item)


def test_labels_and_annotations_for_all_are_on_all(render: Renderer) -> None:
    values = {
        "commonLabels": {"example.com/unit": "search"},
        "commonAnnotations": {"example.com/contact": "docs"},
        "metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
        "alerts": {"enabled": True},
        "dashboards": {"enabled": True},
        "ingress": {"enabled": True},
        "autoscaling": {"engine": "keda"},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]},
    }
    objects = render(values)
    assert len({item["kind"] for item in objects}) > 15
    for item in objects:
        assert item["metadata"]["labels"]["example.com/unit"] == "search", _name(item)
        assert item["metadata"]["annotations"]["example.com/contact"] == "docs", _name(item)
    for pod in pods(objects):
        assert pod.metadata["labels"]["example.com/unit"] == "search", pod.name


def test_workloads_select_their_own_pods_and_nobody_elses(installed: list[Object]) -> None:
    everybody = pods(installed)
    for pod in everybody:
        if pod.owner["kind"] in {"Deployment", "StatefulSet"}:
            assert _selected(pod.owner["spec"]["selector"], everybody) == [pod.name]


def _selected(selector: Object, everybody: list[Pod]) -> list[str]:
    return [pod.name for pod in everybody if selects(selector, pod.metadata["labels"])]


def test_services_reach_a_port_that_there_is(installed: list[Object]) -> None:
    everybody = pods(installed)
    for service in of_kind(installed, "Service"):
        behind = [
            pod
            for pod in everybody
            if selects({"matchLabels": service["spec"]["selector"]}, pod.metadata["labels"])
        ]
        assert len(behind) == 1, _name(service)
        ports = {
            port["name"]
            for container in containers(behind[0])
            for port in container.get("ports", [])
        }
        for port in service["spec"]["ports"]:
            assert port.get("targetPort", port["port"]) in ports, _name(service)


def test_budgets_policies_and_spreads_select_pods_that_there_are(installed: list[Object]) -> None:
    everybody = pods(installed)
    for budget in of_kind(installed, "PodDisruptionBudget"):
        assert len(_selected(budget["spec"]["selector"], everybody)) == 1, _name(budget)
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    for policy in of_kind(installed, "NetworkPolicy"):
        assert _selected(policy["spec"]["podSelector"], everybody), _name(policy)
    for pod in everybody:
        for spread in pod.spec.get("topologySpreadConstraints", []):
            assert _selected(spread["labelSelector"], everybody) == [pod.name]


def test_what_scales_names_a_workload_without_a_number(installed: list[Object]) -> None:
    workloads = {_name(item): item for item in of_kind(installed, "Deployment")}
    scaled = [
        workloads[f"{target['kind']} {target['name']}"]
        for item in of_kind(installed, "HorizontalPodAutoscaler", "ScaledObject")
        for target in [item["spec"]["scaleTargetRef"]]
    ]
    names = [_name(item) for item in scaled]
    assert len(names) == len(set(names))
    for name, item in workloads.items():
        assert ("replicas" in item["spec"]) != (name in names), name


def test_what_pods_refer_to_is_there(installed: list[Object]) -> None:
    there = {_name(item) for item in installed} | {f"Secret {name}" for name in THEIRS}
    there |= {f"Secret {name}" for name in _OPERATORS_NAMES}
    there |= {"ServiceAccount default", "ServiceAccount theirs"}
    for pod in pods(installed):
        wanted = {f"ServiceAccount {pod.spec.get('serviceAccountName', 'default')}"}
        for volume in pod.spec.get("volumes", []):
            if "secret" in volume:
                wanted.add(f"Secret {volume['secret']['secretName']}")
            if "configMap" in volume:
                wanted.add(f"ConfigMap {volume['configMap']['name']}")
        for container in containers(pod):
            for entry in container.get("env", []):
                reference = entry.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    wanted.add(f"Secret {reference['name']}")
        assert wanted <= there, f"{pod.name}: {wanted - there}"


def test_rights_are_few_and_within_the_namespace(installed: list[Object]) -> None:
    assert of_kind(installed, "ClusterRole", "ClusterRoleBinding") == []
    for role in of_kind(installed, "Role"):
        for rule in role["rules"]:
            granted = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert "*" not in granted, _name(role)
            assert not granted & {"secrets", "pods/exec", "delete", "escalate", "bind"}
    accounts = {_name(item) for item in of_kind(installed, "ServiceAccount")}
    for binding in of_kind(installed, "RoleBinding"):
        for subject in binding["subjects"]:
            name = f"{subject['kind']} {subject['name']}"
            assert name in accounts | {"ServiceAccount default"}, _name(binding)


def test_stores_of_one_node_keep_their_disks(installed: list[Object]) -> None:
    for item in of_kind(installed, "StatefulSet"):
        policy = item["spec"].get("persistentVolumeClaimRetentionPolicy", {})
        assert policy.get("whenDeleted", "Retain") == "Retain", _name(item)
        assert item["spec"]["volumeClaimTemplates"], _name(item)
        assert item["spec"].get("replicas", 1) == 1, _name(item)


def test_extra_objects_are_rendered_as_maps_and_as_templates(render: Renderer) -> None:
    base = {"apiVersion": "v1", "kind": "ConfigMap"}
    objects = render(
        {
            "extraObjects": [
                {**base, "metadata": {"name": "first"}, "data": {"a": "{{ .Release.Name }}"}},
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: second-{{ .Release.Name }}}",
            ]
        }
    )
    found = {item["metadata"]["name"]: item for item in of_kind(objects, "ConfigMap")}
    assert found["first"]["data"] == {"a": "rag"}
    assert "second-rag" in found
