"""Who may reach whom by NetworkPolicies, as Kubernetes evaluates them, and who means to."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.charts.rendering import NAMESPACE, Object

__all__ = ["Endpoint", "Pod", "allows", "claims", "pods"]

_TEMPLATES: Final = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod as a workload makes it."""

    name: str
    component: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    def port(self, target: str | int) -> int:
        """Return a container port by its number or name."""
        if isinstance(target, int):
            return target
        ports = (port for item in self.spec["containers"] for port in item.get("ports", []))
        return next(int(port["containerPort"]) for port in ports if port["name"] == target)

    def texts(self) -> Iterator[str]:
        """Yield all that its containers are told in words."""
        for container in self.spec["containers"]:
            yield from container.get("command", [])
            yield from container.get("args", [])
            yield from (str(item["value"]) for item in container.get("env", []) if "value" in item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a connection ends: a port of pods, or one outside of the cluster."""

    port: int
    labels: Mapping[str, str] | None = None
    namespace: str = NAMESPACE
    protocol: str = "TCP"


def pods(objects: Iterable[Object]) -> list[Pod]:
    """Return one pod of each workload."""
    found = []
    for item in objects:
        if (path := _TEMPLATES.get(item["kind"])) is None:
            continue
        template = item
        for key in path:
            template = template[key]
        labels = template["metadata"]["labels"]
        found.append(
            Pod(
                name=item["metadata"]["name"],
                component=labels["app.kubernetes.io/component"],
                labels=labels,
                spec=template["spec"],
            )
        )
    return found


def claims(objects: Iterable[Object]) -> set[tuple[str, str, int]]:
    """Return (component, component, port) of all Services' addresses that pods are told."""
    objects = list(objects)
    everybody = pods(objects)
    found = set()
    for service in (item for item in objects if item["kind"] == "Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        pattern = re.compile(rf"\b{re.escape(name)}(?:\.{NAMESPACE}(?:\.svc[\w.-]*)?)?:(\d+)")
        behind = [pod for pod in everybody if spec["selector"].items() <= pod.labels.items()]
        assert behind, f"no pod is behind Service {name}"
        targets = {
            int(port["port"]): port.get("targetPort", port["port"]) for port in spec["ports"]
        }
        for pod in everybody:
            for number in {int(n) for text in pod.texts() for n in pattern.findall(text)}:
                assert number in targets, f"{pod.name} asks for {name}:{number}, which is not there"
                port = behind[0].port(targets[number])
                found.add((pod.component, behind[0].component, port))
    return found


def allows(
    objects: Iterable[Object], direction: str, pod: Pod | Mapping[str, str], other: Endpoint
) -> bool:
    """Tell whether a pod's policies let it reach ``other`` (egress), or be reached by it (ingress).

    For ingress ``other`` is who comes, and its port the pod's own.
    """
    labels = pod.labels if isinstance(pod, Pod) else pod
    policies = [
        item["spec"]
        for item in objects
        if item["kind"] == "NetworkPolicy"
        and direction in item["spec"]["policyTypes"]
        and _selects(item["spec"]["podSelector"], labels)
    ]
    peers = "to" if direction == "Egress" else "from"
    rules = [rule for spec in policies for rule in spec.get(direction.lower()) or []]
    return not policies or any(
        _has_port(rule.get("ports"), other) and _has_peer(rule.get(peers), other) for rule in rules
    )


def _has_port(ports: list[dict[str, Any]] | None, other: Endpoint) -> bool:
    return not ports or any(
        port.get("protocol", "TCP") == other.protocol and port["port"] == other.port
        for port in ports
    )


def _has_peer(peers: list[dict[str, Any]] | None, other: Endpoint) -> bool:
    return not peers or any(_is_peer(peer, other) for peer in peers)


def _is_peer(peer: Mapping[str, Any], other: Endpoint) -> bool:
    if "ipBlock" in peer or other.labels is None:
        return "ipBlock" in peer and other.labels is None
    namespace = {"kubernetes.io/metadata.name": other.namespace}
    if "namespaceSelector" in peer:
        is_near = _selects(peer["namespaceSelector"], namespace)
    else:
        is_near = other.namespace == NAMESPACE
    return is_near and _selects(peer.get("podSelector", {}), other.labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    exact = selector.get("matchLabels", {})
    among = selector.get("matchExpressions", [])
    assert all(item["operator"] == "In" for item in among), "only In is known here"
    return exact.items() <= labels.items() and all(
        labels.get(item["key"]) in item["values"] for item in among
    )
