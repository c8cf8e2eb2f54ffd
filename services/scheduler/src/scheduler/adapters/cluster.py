"""How to reach the cluster's apiserver."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

__all__ = ["Cluster", "ClusterConfigError", "connect"]

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DEFAULT_NAMESPACE: Final = "default"

# These alone of the client have no types.
_load_inside: Any = config.load_incluster_config
_load_outside: Any = config.load_kube_config
_contexts: Any = config.list_kube_config_contexts


class ClusterConfigError(Exception):
    """There is no usable way to the cluster; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A client, and the namespace that it works in."""

    api: client.ApiClient
    namespace: str


def connect(*, is_inside: bool, kubeconfig: Path | None, namespace: str | None) -> Cluster:
    """Read the credentials; nothing is asked of the apiserver yet.

    Args:
        is_inside: in a cluster, by the pod's service account; else by a kubeconfig.
        kubeconfig: None takes the usual one.
        namespace: None takes the pod's own, or that of the kubeconfig's context.

    Raises:
        ClusterConfigError: there are none.
    """
    configuration = client.Configuration()
    try:
        if is_inside:
            _load_inside(client_configuration=configuration)
            found = _NAMESPACE_FILE.read_text("utf-8").strip()
        else:
            file = None if kubeconfig is None else str(kubeconfig)
            _load_outside(config_file=file, client_configuration=configuration)
            _, context = _contexts(file)
            found = context["context"].get("namespace", _DEFAULT_NAMESPACE)
    except (ConfigException, OSError) as error:
        raise ClusterConfigError(
            f"no way to the cluster: {error}. Mount the service account's token "
            "(automountServiceAccountToken), or set SCHEDULER_LEASE=off and run one scheduler"
        ) from error
    configuration.retries = 0  # a call has a deadline, and whoever calls tries again
    return Cluster(api=client.ApiClient(configuration), namespace=namespace or found)
