"""Rules for every pod in every way to install the chart."""

import re

import pytest

from tests.charts.objects import Pod, component, containers, of_kind, pods
from tests.charts.rendering import Object, Renderer
from tests.charts.restricted import violations

_GOOD: Object = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "a",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
        }
    ],
}


def test_every_pod_keeps_to_pod_security_restricted(installed: list[Object]) -> None:
    assert {pod.name: found for pod in pods(installed) if (found := violations(pod.spec))} == {}


@pytest.mark.parametrize(
    "change",
    [
        {"hostNetwork": True},
        {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]},
        {"securityContext": {"runAsNonRoot": True}},
        {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
        {"containers": [{"name": "a", "securityContext": {}}]},
        {"initContainers": [{"name": "b"}]},
    ],
)
def test_a_pod_that_is_not_restricted_is_found(change: Object) -> None:
    assert violations(_GOOD) == []
    assert violations(_GOOD | change)


def test_no_container_writes_to_its_image(installed: list[Object]) -> None:
    for pod in pods(installed):
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, pod.name


def test_every_scratch_volume_has_a_size(installed: list[Object]) -> None:
    for pod in pods(installed):
        for volume in pod.spec.get("volumes", []):
            if "emptyDir" in volume:
                assert volume["emptyDir"].get("sizeLimit"), f"{pod.name}: {volume['name']}"


def test_every_container_says_what_it_needs(installed: list[Object]) -> None:
    for pod in pods(installed):
        for container in containers(pod):
            resources = container["resources"]
            assert set(resources["requests"]) >= {"cpu", "memory"}, pod.name
            assert "memory" in resources["limits"], pod.name


def test_users_are_numbers_other_than_root(installed: list[Object]) -> None:
    for pod in pods(installed):
        context = pod.spec["securityContext"]
        assert context["runAsUser"] >= 1000, pod.name
        assert context["runAsGroup"] >= 1000, pod.name


def test_no_pod_gets_service_links(installed: list[Object]) -> None:
    """KAFKA_PORT and the like would be taken for settings."""
    assert [pod.name for pod in pods(installed) if pod.spec.get("enableServiceLinks")] == []
    assert [pod.name for pod in pods(installed) if "enableServiceLinks" not in pod.spec] == []


def test_only_the_scheduler_may_speak_to_the_cluster(installed: list[Object]) -> None:
    speaks = {pod.component for pod in pods(installed) if _mounts_a_token(pod)}
    assert speaks <= {"scheduler"}
    for account in of_kind(installed, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def _mounts_a_token(pod: Pod) -> bool:
    return pod.spec.get("automountServiceAccountToken") is not False


def test_no_image_is_latest(installed: list[Object]) -> None:
    for pod in pods(installed):
        for container in containers(pod):
            image = container["image"]
            assert re.search(r"(:[^/:@]+|@sha256:[0-9a-f]{64})$", image), image
            assert not re.search(r":latest(@|$)", image), image
            assert container.get("imagePullPolicy", "IfNotPresent") == "IfNotPresent"


def test_probes_ask_different_things(installed: list[Object]) -> None:
    for pod in pods(installed):
        if pod.owner["kind"] == "Deployment":
            paths = {
                kind: pod.main[f"{kind}Probe"]["httpGet"]["path"]
                for kind in ("startup", "readiness", "liveness")
            }
            assert paths == {
                "startup": "/healthz/startup",
                "readiness": "/healthz/ready",
                "liveness": "/healthz/live",
            }
        elif pod.owner["kind"] == "StatefulSet":
            assert pod.main["readinessProbe"]
            assert pod.main["readinessProbe"] != pod.main.get("livenessProbe")


def test_whatever_serves_has_a_liveness_probe_slower_than_its_readiness(
    installed: list[Object],
) -> None:
    for pod in pods(installed):
        if pod.owner["kind"] in {"Deployment", "StatefulSet"} and "livenessProbe" in pod.main:
            assert _patience(pod.main["livenessProbe"]) >= _patience(pod.main["readinessProbe"])


def _patience(probe: Object) -> int:
    return int(probe.get("periodSeconds", 10)) * int(probe.get("failureThreshold", 3))


def test_probes_and_ports_name_ports_that_there_are(installed: list[Object]) -> None:
    for pod in pods(installed):
        for container in containers(pod):
            names = {port["name"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                for action in ("httpGet", "tcpSocket"):
                    port = container.get(kind, {}).get(action, {}).get("port")
                    assert port is None or port in names, f"{pod.name}: {kind}"


def test_what_is_mounted_is_a_volume_of_the_pod(installed: list[Object]) -> None:
    for pod in pods(installed):
        claims = pod.owner["spec"].get("volumeClaimTemplates", [])
        names = [volume["name"] for volume in pod.spec.get("volumes", [])]
        names += [claim["metadata"]["name"] for claim in claims]
        assert len(names) == len(set(names)), pod.name
        for container in containers(pod):
            mounts = container.get("volumeMounts", [])
            assert {mount["name"] for mount in mounts} <= set(names), pod.name
            paths = [mount["mountPath"] for mount in mounts]
            assert len(paths) == len(set(paths)), pod.name


def test_no_variable_is_there_twice(installed: list[Object]) -> None:
    for pod in pods(installed):
        for container in containers(pod):
            names = [entry["name"] for entry in container.get("env", [])]
            assert len(names) == len(set(names)), pod.name


def test_a_variable_of_a_user_wins(render: Renderer) -> None:
    extra = [{"name": "LOG_LEVEL", "value": "error"}, {"name": "NEW", "value": "1"}]
    objects = render({"embedder": {"extraEnv": extra}, "log": {"level": "debug"}})
    (pod,) = [pod for pod in pods(objects) if pod.component == "embedder"]
    env = {entry["name"]: entry.get("value") for entry in pod.main["env"]}
    assert (env["LOG_LEVEL"], env["NEW"]) == ("error", "1")


def test_pods_say_what_they_belong_to(installed: list[Object]) -> None:
    for pod in pods(installed):
        labels = pod.metadata["labels"]
        assert labels["app.kubernetes.io/component"] == component(pod.owner), pod.name
        assert labels["app.kubernetes.io/instance"] == "rag", pod.name


def test_every_image_comes_from_the_registry_for_all(render: Renderer) -> None:
    objects = render({"global": {"imageRegistry": "mirror.example:5000"}})
    images = {container["image"] for pod in pods(objects) for container in containers(pod)}
    assert len(images) >= 6
    assert [image for image in images if not image.startswith("mirror.example:5000/")] == []


def test_stores_are_their_makers_own_images(render: Renderer) -> None:
    images = {container["image"] for pod in pods(render()) for container in containers(pod)}
    repositories = {image.rpartition(":")[0] for image in images if "kartoteka/" not in image}
    assert repositories == {
        "docker.io/apache/kafka",
        "docker.io/chrislusf/seaweedfs",
        "docker.io/qdrant/qdrant",
    }


def test_a_digest_pins_any_image(render: Renderer) -> None:
    digest = "sha256:" + "a" * 64
    pinned = {"image": {"digest": digest}}
    stores = {name: {"builtin": pinned} for name in ("kafka", "qdrant", "objectStorage")}
    ours = dict.fromkeys(("ingestApi", "embedder", "scheduler"), pinned)
    objects = render(stores | ours)
    for pod in pods(objects):
        for container in containers(pod):
            assert container["image"].endswith(f"@{digest}"), pod.name


def test_the_tag_is_the_charts_version_of_the_application(render: Renderer) -> None:
    ours = [pod.main["image"] for pod in pods(render()) if "kartoteka/" in pod.main["image"]]
    assert ours
    assert {image.rpartition(":")[2] for image in ours} == {"0.1.0"}


def test_pull_secrets_are_in_every_pod(render: Renderer) -> None:
    objects = render({"global": {"imagePullSecrets": ["one", {"name": "two"}]}})
    for pod in pods(objects):
        assert pod.spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}], pod.name


def test_strimzis_brokers_may_write_to_their_volumes_and_are_restricted(render: Renderer) -> None:
    """The operator takes this context instead of its own, which has a group for the volumes."""
    copies = {"replicationFactor": 3, "minInsyncReplicas": 2}
    objects = render({"kafka": {"mode": "strimzi", **copies}})
    (pool,) = of_kind(objects, "KafkaNodePool")
    template = pool["spec"]["template"]
    broker = {
        "securityContext": template["pod"]["securityContext"],
        "containers": [{"name": "kafka", **template["kafkaContainer"]}],
    }
    assert broker["securityContext"]["fsGroup"] == 0
    assert violations(broker) == []
