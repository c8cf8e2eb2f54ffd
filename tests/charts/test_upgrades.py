"""What an upgrade finds in the cluster: keys stay, and changes that would lose data are refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_api.adapters.key_file import KeyFile, read_keys
from tests.charts.fake_cluster import FakeCluster, clear, running_fake_cluster
from tests.charts.rendering import Object, Renderer, RenderError, Values

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
    assert _secrets(second) == _secrets(first)


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


def test_a_store_may_be_left_for_an_external_one_but_not_taken_back(
    render: Renderer, cluster: FakeCluster
) -> None:
    _upgraded(render, cluster)
    _upgraded(
        render, cluster, {"qdrant": {"mode": "external", "external": {"url": "https://q:6333"}}}
    )

    assert "qdrant.mode was external and cannot become builtin" in _refusal(render, cluster, {})


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
