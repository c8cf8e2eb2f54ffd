"""What an upgrade finds in the cluster: keys stay, and changes that would lose data are refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_api.adapters.key_file import KeyFile, read_keys
from tests.charts.fake_cluster import FakeCluster, clear, running_fake_cluster
from tests.charts.rendering import NAMESPACE, Object, Renderer, RenderError, Values

_SECRETS = ("api-keys", "qdrant", "object-storage")


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with running_fake_cluster() as running:
        yield running


def _upgraded(helm: Renderer, cluster: FakeCluster, *values: Values) -> list[Object]:
    objects = helm.upgraded(cluster.url, *values)
    cluster.put(objects)
    return objects


def _secrets(objects: list[Object]) -> dict[str, dict[str, str]]:
    return {
        item["metadata"]["labels"]["app.kubernetes.io/component"]: clear(item)
        for item in objects
        if item["kind"] == "Secret"
    }


def _checksums(objects: list[Object]) -> dict[str, dict[str, str]]:
    return {
        item["metadata"]["name"]: item["spec"]["template"]["metadata"].get("annotations", {})
        for item in objects
        if item["kind"] in {"Deployment", "StatefulSet"}
    }


def _refusal(helm: Renderer, cluster: FakeCluster, values: Values) -> str:
    with pytest.raises(RenderError) as refused:
        _upgraded(helm, cluster, values)
    return str(refused.value)


def test_keys_are_made_once(helm: Renderer, cluster: FakeCluster) -> None:
    first = _upgraded(helm, cluster)
    second = _upgraded(helm, cluster)

    assert set(_secrets(first)) == set(_SECRETS)
    assert _secrets(second) == {}


def test_what_was_made_belongs_to_no_revision(helm: Renderer, cluster: FakeCluster) -> None:
    """A rollback would bring back old keys, and one from a Secret of one's own would be blocked."""
    made = [item for item in _upgraded(helm, cluster) if item["kind"] == "Secret"]

    assert {item["metadata"]["annotations"]["helm.sh/hook"] for item in made} == {
        "pre-install,pre-upgrade"
    }
    assert {item["metadata"]["annotations"]["helm.sh/resource-policy"] for item in made} == {"keep"}


def test_what_values_give_leaves_what_was_made_alone(helm: Renderer, cluster: FakeCluster) -> None:
    _upgraded(helm, cluster)
    given = {"qdrant": {"apiKey": {"value": "mine"}}}
    (secret,) = [item for item in _upgraded(helm, cluster, given) if item["kind"] == "Secret"]

    assert secret["metadata"]["name"] == "rag-kartoteka-qdrant-given"
    assert "annotations" not in secret["metadata"]


def test_another_secret_restarts_what_opens_the_store_with_it(
    helm: Renderer, cluster: FakeCluster
) -> None:
    first = _checksums(_upgraded(helm, cluster))
    cluster.delete("rag-kartoteka-qdrant")
    second = _checksums(_upgraded(helm, cluster))

    assert {name for name, sums in second.items() if sums != first[name]} == {
        "rag-kartoteka-embedder",
        "rag-kartoteka-ingest-api",
        "rag-kartoteka-qdrant",
    }


def test_an_upgrade_that_changes_nothing_restarts_nothing(
    helm: Renderer, cluster: FakeCluster
) -> None:
    assert _checksums(_upgraded(helm, cluster)) == _checksums(_upgraded(helm, cluster))


def test_a_key_in_the_values_wins_over_the_one_that_was_made(
    helm: Renderer, cluster: FakeCluster
) -> None:
    first = _upgraded(helm, cluster)
    second = _upgraded(helm, cluster, {"qdrant": {"apiKey": {"value": "mine"}}})

    assert _secrets(second)["qdrant"] == {"api-key": "mine"}
    changed = {name for name, sums in _checksums(second).items() if sums != _checksums(first)[name]}
    assert "rag-kartoteka-qdrant" in changed
    assert not {"rag-kartoteka-kafka", "rag-kartoteka-object-storage"} & changed


def test_the_api_key_that_was_made_opens_the_service(helm: Renderer, tmp_path: Path) -> None:
    """The reader is ingest-api's own."""
    made = _secrets(helm())["api-keys"]
    path = tmp_path / "keys.json"
    path.write_text(made["keys.json"], "utf-8")
    troubles: list[str | None] = []
    ring = KeyFile(path, on_change=troubles.append)
    ring.refresh()

    assert troubles == [None]
    assert len(read_keys(path)) == 1
    principal = ring.find(made["admin-key"])
    assert principal is not None
    assert principal.cabinets is None
    assert {str(scope) for scope in principal.scopes} == {
        "ingest",
        "search",
        "read",
        "delete",
        "admin",
    }


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"kafka": {"jobPartitions": 48}}, "kafka.jobPartitions was 24 and cannot become 48"),
        ({"qdrant": {"collection": "other"}}, "qdrant.collection was kartoteka"),
        ({"objectStorage": {"bucket": "other"}}, "objectStorage.bucket and prefix were"),
        (
            {
                "kafka": {
                    "mode": "strimzi",
                    "replicationFactor": 3,
                    "minInsyncReplicas": 2,
                },
                "crdCheck": False,
            },
            "kafka.mode was builtin and cannot become strimzi",
        ),
    ],
)
def test_a_change_that_would_lose_data_is_refused(
    render: Renderer, cluster: FakeCluster, values: Values, named: str
) -> None:
    _upgraded(render, cluster)

    assert named in _refusal(render, cluster, values)
    cluster.delete("rag-kartoteka-install")
    _upgraded(render, cluster, values)


_EXTERNAL = {"qdrant": {"mode": "external", "external": {"url": "https://q:6333"}}}


def test_a_store_that_was_left_may_be_taken_back_while_its_disk_is_there(
    render: Renderer, cluster: FakeCluster
) -> None:
    _upgraded(render, cluster)
    _upgraded(render, cluster, _EXTERNAL)

    refusal = _refusal(render, cluster, {})
    assert "qdrant.mode was external and cannot become builtin" in refusal
    assert "data-rag-kartoteka-qdrant-0" in refusal

    claim = {"name": "data-rag-kartoteka-qdrant-0", "namespace": NAMESPACE}
    cluster.add({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": claim})
    _upgraded(render, cluster)


def test_strimzis_kafka_outlives_the_release_and_may_be_taken_back(
    render: Renderer, cluster: FakeCluster
) -> None:
    copies = {"replicationFactor": 3, "minInsyncReplicas": 2}
    strimzi = {"kafka": {"mode": "strimzi", "sasl": {"enabled": True}, **copies}, "crdCheck": False}
    left = {"kafka": {"mode": "external", "external": {"bootstrapServers": "k:9092"}}}
    first = _upgraded(render, cluster, strimzi)
    kept = {
        item["kind"]
        for item in first
        if item["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert {"Kafka", "KafkaNodePool", "KafkaUser"} <= kept

    _upgraded(render, cluster, left)
    _upgraded(render, cluster, strimzi)
    _upgraded(render, cluster, left)
    cluster.delete("rag-kartoteka")
    assert "kafka.mode was external and cannot become" in _refusal(render, cluster, strimzi)


def test_objects_are_not_renamed(render: Renderer, cluster: FakeCluster) -> None:
    _upgraded(render, cluster)

    for values in ({"fullnameOverride": "other"}, {"nameOverride": "other"}):
        assert "were called rag-kartoteka and cannot be called" in _refusal(render, cluster, values)


def _qdrant_disk(**storage: str) -> Values:
    return {"qdrant": {"builtin": {"storage": {"size": "10Gi"} | storage}}}


def _run_stores(helm: Renderer, cluster: FakeCluster) -> None:
    for item in _upgraded(helm, cluster, _qdrant_disk()):
        if item["kind"] == "StatefulSet":
            cluster.add(item)


@pytest.mark.parametrize("storage", [{"size": "20Gi"}, {"storageClass": "fast"}])
def test_another_disk_for_a_store_that_runs_is_refused(
    helm: Renderer, cluster: FakeCluster, storage: dict[str, str]
) -> None:
    _run_stores(helm, cluster)
    refusal = _refusal(helm, cluster, _qdrant_disk(**storage))

    assert "delete sts rag-kartoteka-qdrant --cascade=orphan" in refusal
    assert "kafka.builtin" not in refusal


def test_the_same_size_in_other_words_is_no_other_disk(
    helm: Renderer, cluster: FakeCluster
) -> None:
    _run_stores(helm, cluster)
    _upgraded(helm, cluster, _qdrant_disk(size="10240Mi"))


def test_a_secret_of_ones_own_switches_off_the_charts(render: Renderer) -> None:
    own = {"existingSecret": "mine"}
    objects = render(
        {
            "auth": own,
            "qdrant": {"apiKey": own},
            "objectStorage": {"credentials": own},
            "tests": {"enabled": False},
        }
    )

    assert _secrets(objects) == {}
