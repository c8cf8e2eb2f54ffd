"""Kubernetes' Pod Security Standard "restricted", which contains "baseline", for one pod spec."""

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["violations"]

_VOLUMES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_syncookies",
    }
)
_SELINUX: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
_SECCOMP: Final = frozenset({"RuntimeDefault", "Localhost"})
_APPARMOR: Final = frozenset({"RuntimeDefault", "Localhost"})


def violations(spec: dict[str, Any]) -> list[str]:
    """Return how a pod's spec breaks the standard; nothing where it keeps to it."""
    found = list(_of_pod(spec))
    kinds = ("initContainers", "containers", "ephemeralContainers")
    for container in (item for kind in kinds for item in spec.get(kind, [])):
        found += [f"{container['name']}: {text}" for text in _of_container(container, spec)]
    return found


def _of_pod(spec: dict[str, Any]) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{key} is set"
    for volume in spec.get("volumes", []):
        for kind in set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is a {kind}"
    context = spec.get("securityContext", {})
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    yield from _of_context(context)


def _of_context(context: dict[str, Any]) -> Iterator[str]:
    """Yield what neither a pod's nor a container's context may say."""
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess is set"
    if context.get("runAsUser") == 0:
        yield "runAsUser is 0"
    if context.get("runAsNonRoot") is False:
        yield "runAsNonRoot is false"
    options = context.get("seLinuxOptions", {})
    if options.get("type", "") not in _SELINUX or options.get("user") or options.get("role"):
        yield "seLinuxOptions"
    if "seccompProfile" in context and context["seccompProfile"].get("type") not in _SECCOMP:
        yield "seccompProfile is unconfined"
    if "appArmorProfile" in context and context["appArmorProfile"].get("type") not in _APPARMOR:
        yield "appArmorProfile is unconfined"


def _of_container(container: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    context, shared = container.get("securityContext", {}), spec.get("securityContext", {})
    yield from _of_context(context)
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if context.get("procMount", "Default") != "Default":
        yield "procMount"
    if context.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot is not true"
    if "seccompProfile" not in context and "seccompProfile" not in shared:
        yield "no seccompProfile"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities are not all dropped"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"adds {capabilities['add']}"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
