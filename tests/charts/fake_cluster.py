"""As much of a Kubernetes API as Helm asks when it only looks, on loopback."""

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.charts.rendering import Object

__all__ = ["FakeCluster", "clear", "running_fake_cluster"]

_KINDS: Final[Mapping[str, Mapping[str, str]]] = {
    "v1": {
        "configmaps": "ConfigMap",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "pods": "Pod",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet"},
    "batch/v1": {"cronjobs": "CronJob", "jobs": "Job"},
    "kafka.strimzi.io/v1": {
        "kafkanodepools": "KafkaNodePool",
        "kafkas": "Kafka",
        "kafkausers": "KafkaUser",
    },
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "rbac.authorization.k8s.io/v1": {"rolebindings": "RoleBinding", "roles": "Role"},
}
"""What Helm 4 must know to read a manifest, and what is looked up."""


def _group(version: str) -> Object:
    known = {"groupVersion": version, "version": version.partition("/")[2]}
    return {"name": version.partition("/")[0], "versions": [known], "preferredVersion": known}


def _resources(version: str) -> Object:
    resources = [
        {"name": name, "kind": kind, "namespaced": True, "verbs": ["get"]}
        for name, kind in _KINDS[version].items()
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


_DISCOVERY: Final[Mapping[str, Object]] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(version) for version in _KINDS if "/" in version],
    },
    "/api/v1": _resources("v1"),
    **{f"/apis/{version}": _resources(version) for version in _KINDS if "/" in version},
}


class FakeCluster:
    """A cluster with what was put there; nothing is ever written by Helm."""

    def __init__(self) -> None:
        self.url = ""
        self._objects: dict[str, Object] = {}

    def put(self, objects: list[Object]) -> None:
        """Keep those of the objects that `helm uninstall` would leave."""
        for item in objects:
            if item["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep":
                self.add(item)

    def add(self, item: Object) -> None:
        """Keep an object."""
        version, metadata = item["apiVersion"], item["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        kind = f"{item['kind'].lower()}s"
        self._objects[f"{root}/namespaces/{metadata['namespace']}/{kind}/{metadata['name']}"] = item

    def delete(self, name: str) -> None:
        """Forget what has this name."""
        self._objects = {
            path: item for path, item in self._objects.items() if not path.endswith(f"/{name}")
        }

    def answer(self, path: str) -> Object | None:
        """Return what is at a path, an object or a list of them; None: nothing."""
        found = _DISCOVERY.get(path) or self._objects.get(path)
        if found is None and path.endswith("/configmaps"):
            items = [item for at, item in self._objects.items() if at.rpartition("/")[0] == path]
            return {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {}, "items": items}
        return found


@contextmanager
def running_fake_cluster() -> Iterator[FakeCluster]:
    """Serve a cluster for the length of a block."""
    cluster = FakeCluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = cluster.answer(self.path.partition("?")[0])
            missing = {"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404}
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            """Say nothing: Helm asks for much that is not there."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cluster.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def clear(secret: Object) -> dict[str, str]:
    """Return a Secret's contents."""
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
