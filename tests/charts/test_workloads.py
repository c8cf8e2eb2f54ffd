"""What each workload of ours promises of its own: how it starts, ends, scales and is allowed."""

from typing import Any

import pytest

from tests.charts.objects import Pod, of_kind, one, pods
from tests.charts.rendering import Object, Renderer

EVERY_MODE = ["none", "hpa", "keda"]


def pod_of(objects: list[Object], component: str) -> Pod:
    (found,) = [pod for pod in pods(objects) if pod.component == component]
    return found


def env_of(objects: list[Object], component: str) -> dict[str, str]:
    entries = pod_of(objects, component).main["env"]
    return {entry["name"]: entry.get("value", "") for entry in entries}


@pytest.mark.parametrize(
    ("embedder", "each"),
    [
        ({}, 1 << 30),
        ({"resources": {"limits": {"memory": "4Gi"}}}, 3 << 29),
        ({"parser": {"children": 1, "memory": "700M"}}, 700_000_000),
        ({"resources": {"limits": None}}, 2 << 30),
    ],
    ids=["defaults", "more memory", "by hand", "no limit"],
)
def test_parsers_share_what_the_limit_leaves_them(
    render: Renderer, embedder: dict[str, Any], each: int
) -> None:
    found = env_of(render({"embedder": embedder}), "embedder")
    assert int(found["PARSER_MEMORY_BYTES"]) == each


@pytest.mark.parametrize(
    "embedder",
    [
        {"resources": {"limits": {"memory": "1500Mi"}}},
        {"parser": {"children": 3, "memory": "1Gi"}},
    ],
    ids=["derived", "by hand"],
)
def test_parsers_that_could_have_their_pod_killed_are_refused(
    render: Renderer, embedder: dict[str, Any]
) -> None:
    assert "embedder.resources.limits.memory" in render.refuses({"embedder": embedder})


def test_bodies_under_way_fit_their_disk(render: Renderer) -> None:
    objects = render({"embedder": {"scratch": {"size": "10Gi"}}})
    assert env_of(objects, "embedder")["WORKER_SCRATCH_BYTES"] == str(8 << 30)
    volumes = {item["name"]: item for item in pod_of(objects, "embedder").spec["volumes"]}
    assert volumes["tmp"]["emptyDir"]["sizeLimit"] == "10Gi"


def test_uploads_under_way_fit_the_memory(render: Renderer) -> None:
    def uploads(limit: str) -> int:
        values = {"ingestApi": {"resources": {"limits": {"memory": limit}}}}
        return int(env_of(render(values), "ingest-api")["UPLOAD_MAX_IN_FLIGHT"])

    assert [uploads("1Gi"), uploads("8Gi"), uploads("256Mi")] == [40, 128, 1]


def test_lag_is_asked_for_the_group_that_works(render: Renderer) -> None:
    assert "WATCH_GROUP" not in env_of(render({}), "ingest-api")
    objects = render({"embedder": {"settings": {"WORKER_GROUP": "another"}}})
    assert env_of(objects, "embedder")["WORKER_GROUP"] == "another"
    assert env_of(objects, "ingest-api")["WATCH_GROUP"] == "another"


def test_a_pod_is_left_the_time_that_its_process_takes_to_end(render: Renderer) -> None:
    objects = render({"ingestApi": {"preStopSeconds": 7, "drainSeconds": 40}})
    api, embedder = pod_of(objects, "ingest-api"), pod_of(objects, "embedder")
    assert api.main["lifecycle"] == {"preStop": {"sleep": {"seconds": 7}}}
    assert env_of(objects, "ingest-api")["API_SHUTDOWN_DRAIN"] == "40"
    assert api.spec["terminationGracePeriodSeconds"] == 7 + 40 + 15
    assert env_of(objects, "embedder")["WORKER_DRAIN_SECONDS"] == "45"
    assert embedder.spec["terminationGracePeriodSeconds"] == 45 + 45


def test_no_pause_before_the_end_is_no_hook(render: Renderer) -> None:
    """The apiserver of older minors refuses a sleep of no seconds."""
    api = pod_of(render({"ingestApi": {"preStopSeconds": 0}}), "ingest-api")
    assert "lifecycle" not in api.main


@pytest.mark.parametrize("engine", EVERY_MODE)
def test_replicas_are_either_ours_or_the_autoscalers(render: Renderer, engine: str) -> None:
    objects = render({"autoscaling": {"engine": engine}}, validate=False)
    for name in ("ingest-api", "embedder"):
        assert ("replicas" in one(objects, "Deployment", name)["spec"]) == (engine == "none")


def test_a_rollout_takes_nothing_away_before_it_has_brought_something(render: Renderer) -> None:
    for item in of_kind(render(), "Deployment"):
        assert item["spec"]["strategy"]["type"] == "RollingUpdate"
        assert item["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_keys_are_mounted_so_that_a_change_arrives(render: Renderer) -> None:
    """A file mounted by subPath stays what it was."""
    auth = {"existingSecret": "mine", "existingSecretKey": "ring"}
    objects = render({"auth": auth, "tests": {"enabled": False}})
    pod = pod_of(objects, "ingest-api")
    (mount,) = [item for item in pod.main["volumeMounts"] if item["name"] == "api-keys"]
    assert "subPath" not in mount
    (volume,) = [item for item in pod.spec["volumes"] if item["name"] == "api-keys"]
    assert volume["secret"]["secretName"] == "mine"
    (key,) = volume["secret"]["items"]
    assert key["key"] == "ring"
    assert env_of(objects, "ingest-api")["API_KEYS_FILE"] == f"{mount['mountPath']}/{key['path']}"


def test_another_password_starts_pods_anew_and_nothing_else_does(render: Renderer) -> None:
    def checksum(*values: dict[str, Any]) -> str:
        metadata = pod_of(render(*values), "ingest-api").metadata
        return str(metadata["annotations"]["checksum/stores"])

    # Without a cluster, what nobody names is made anew each time.
    own = {"existingSecret": "mine"}
    named = {"qdrant": {"apiKey": own}, "objectStorage": {"credentials": own}}
    other = {"qdrant": {"apiKey": {"existingSecret": "other"}}}
    assert checksum(named, other) != checksum(named)
    assert checksum(named, {"ingestApi": {"replicas": 9}}) == checksum(named)


def test_a_model_of_a_volume_lies_where_the_images_own_would(render: Renderer) -> None:
    objects = render({"model": {"source": "volume", "existingClaim": "models"}})
    for component in ("embedder", "reconcile"):
        pod = pod_of(objects, component)
        (mount,) = [item for item in pod.main["volumeMounts"] if item["name"] == "model"]
        assert mount["mountPath"] == env_of(objects, component)["MODEL_CACHE"]
        assert mount["readOnly"] is True
    assert "model.existingClaim" in render.refuses({"model": {"source": "volume"}})


def test_a_pod_spreads_over_nodes_and_zones_unless_told_not_to(render: Renderer) -> None:
    assert len(pod_of(render(), "embedder").spec["topologySpreadConstraints"]) == 2
    off = render({"embedder": {"topologySpread": False}})
    assert "topologySpreadConstraints" not in pod_of(off, "embedder").spec


def test_own_objects_are_rendered_as_maps_and_as_templates(render: Renderer) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-text'}"
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a-map"}}
    names = {
        item["metadata"]["name"]
        for item in of_kind(render({"extraObjects": [text, own]}), "ConfigMap")
    }
    assert {"rag-text", "a-map"} <= names


def test_every_workload_takes_what_users_add(render: Renderer) -> None:
    more: dict[str, Any] = {
        "extraEnvFrom": [{"secretRef": {"name": "more"}}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "initContainers": [{"name": "before", "image": "before:1"}],
        "sidecars": [{"name": "beside", "image": "beside:1"}],
        "podLabels": {"team": "docs"},
        "podAnnotations": {"note": "this"},
    }
    workloads = ("ingestApi", "embedder", "scheduler", "reconcile", "topics")
    objects = render(dict.fromkeys(workloads, more), validate=False)
    for component in ("ingest-api", "embedder", "scheduler", "reconcile", "reindex", "topics"):
        pod = pod_of(objects, component)
        assert pod.main["envFrom"] == more["extraEnvFrom"], component
        assert more["extraVolumes"][0] in pod.spec["volumes"], component
        assert more["extraVolumeMounts"][0] in pod.main["volumeMounts"], component
        assert pod.spec["initContainers"] == more["initContainers"], component
        assert pod.spec["containers"][1:] == more["sidecars"], component
        assert pod.metadata["labels"]["team"] == "docs", component
        assert pod.metadata["annotations"]["note"] == "this", component
