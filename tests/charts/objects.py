"""Questions about rendered objects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.charts.rendering import Object

__all__ = ["Pod", "component", "containers", "of_kind", "one", "pods", "selects", "strings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The pods that an object makes: their metadata and spec."""

    owner: Object
    metadata: Object
    spec: Object

    @property
    def name(self) -> str:
        """The owner's kind and name, for messages."""
        return f"{self.owner['kind']} {self.owner['metadata']['name']}"

    @property
    def component(self) -> str:
        """Which part of the system it is."""
        return component(self.owner)

    @property
    def main(self) -> Object:
        """The container that the pod is there for."""
        first: Object = self.spec["containers"][0]
        return first


def component(item: Object) -> str:
    """Return which part of the system an object belongs to."""
    return str(item["metadata"].get("labels", {}).get("app.kubernetes.io/component", ""))


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """Return the objects of these kinds."""
    return [item for item in objects if item["kind"] in kinds]


def one(objects: list[Object], kind: str, name: str) -> Object:
    """Return the one object of a kind whose component or end of name is this."""
    found = [
        item
        for item in of_kind(objects, kind)
        if component(item) == name or item["metadata"]["name"].endswith(f"-{name}")
    ]
    assert len(found) == 1, f"{kind} {name}: {[item['metadata']['name'] for item in found]}"
    return found[0]


def pods(objects: list[Object]) -> list[Pod]:
    """Return the pods of all workloads, hooks included."""
    return [pod for item in objects for pod in _pods(item)]


def _pods(item: Object) -> Iterator[Pod]:
    match item["kind"]:
        case "Pod":
            yield Pod(owner=item, metadata=item["metadata"], spec=item["spec"])
        case "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job":
            template = item["spec"]["template"]
            yield Pod(owner=item, metadata=template["metadata"], spec=template["spec"])
        case "CronJob":
            template = item["spec"]["jobTemplate"]["spec"]["template"]
            yield Pod(owner=item, metadata=template["metadata"], spec=template["spec"])
        case _:
            pass


def containers(pod: Pod) -> list[Object]:
    """Return all containers, those that run first included."""
    found: list[Object] = [*pod.spec.get("initContainers", []), *pod.spec["containers"]]
    return found


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a LabelSelector selects what has these labels."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for rule in selector.get("matchExpressions", []):
        value = labels.get(rule["key"])
        match rule["operator"]:
            case "In":
                fits = value in rule["values"]
            case "NotIn":
                fits = value not in rule["values"]
            case "Exists":
                fits = value is not None
            case _:
                fits = value is None
        if not fits:
            return False
    return True


def strings(value: Any) -> Iterator[str]:
    """Yield all texts inside a value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value
