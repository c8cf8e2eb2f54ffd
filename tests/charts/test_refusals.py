"""Values that cannot work together are refused, with what to do."""

from typing import Any

import pytest

from tests.charts.modes import MODES
from tests.charts.rendering import Renderer

_EXTERNAL = {"mode": "external", "external": {"bootstrapServers": "kafka.example:9092"}}
_STRIMZI = {"mode": "strimzi", "replicationFactor": 3, "minInsyncReplicas": 2}
_QDRANT = {"mode": "external", "external": {"url": "http://qdrant.example:6333"}}


def _kafka(**values: Any) -> dict[str, Any]:
    return {"kafka": {**_EXTERNAL, **values}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kafka": {"mode": "external"}}, "set kafka.external.bootstrapServers"),
        ({"qdrant": {"mode": "external"}}, "set qdrant.external.url"),
        ({"kafka": {"replicationFactor": 3}}, "the built-in Kafka is a single node"),
        ({"kafka": {"tls": {"enabled": True}}}, "the built-in Kafka has neither"),
        ({"kafka": {"external": _EXTERNAL["external"]}}, "but kafka.mode is builtin"),
        (_kafka(minInsyncReplicas=2), "no write could ever be acknowledged"),
        (_kafka(replicationFactor=2, minInsyncReplicas=2), "would stop all writes"),
        (_kafka(sasl={"enabled": True}), "kafka.sasl is enabled without credentials"),
        (_kafka(sasl={"password": "p", "existingSecret": "s"}), "both a password and an existing"),
        (_kafka(tls={"caSecret": "ca"}), "Set kafka.tls.enabled"),
        ({"kafka": {**_STRIMZI, "strimzi": {"replicas": 2}}}, "no topic could be made"),
        ({"kafka": {"mode": "strimzi"}}, "Set kafka.replicationFactor to 3"),
        ({"kafka": {**_STRIMZI, "sasl": {"password": "p"}}}, "operator makes user and password"),
        ({"kafka": {**_STRIMZI, "tls": {"caSecret": "c"}}}, "operator makes the authority"),
        ({"qdrant": {"replicationFactor": 2}}, "the built-in Qdrant is a single node"),
        ({"qdrant": {"external": _QDRANT["external"]}}, "but qdrant.mode is builtin"),
        ({"qdrant": {**_QDRANT, "writeConsistencyFactor": 2}}, "no write could ever succeed"),
        ({"qdrant": {**_QDRANT, "tls": {"caSecret": "ca"}}}, "is no https:// url"),
        ({"qdrant": {"apiKey": {"value": "v", "existingSecret": "s"}}}, "both a value and an"),
        ({"qdrant": {"tls": {"caSecret": "ca"}}}, "the built-in Qdrant has no TLS"),
        ({"objectStorage": {"external": {"url": "s3://b"}}}, "but objectStorage.mode is builtin"),
        ({"objectStorage": {"bucket": ""}}, "objectStorage.bucket is empty"),
        ({"objectStorage": {"mode": "external", "bucket": ""}}, "set objectStorage.bucket"),
        (
            {"objectStorage": {"mode": "external", "external": {"url": "file:///tmp"}}},
            "a folder is not shared by pods",
        ),
        (
            {"objectStorage": {"mode": "external", "external": {"endpoint": "http://s3.example"}}},
            "set objectStorage.external.allowHttp",
        ),
        ({"objectStorage": {"credentials": {"accessKeyId": "a"}}}, "one key of two"),
        (
            {
                "objectStorage": {
                    "credentials": {
                        "accessKeyId": "a",
                        "secretAccessKey": "b",
                        "existingSecret": "c",
                    }
                }
            },
            "both keys and an existingSecret",
        ),
        ({"embedder": {"replicas": 25}}, "Set at most 24"),
        (
            {"autoscaling": {"engine": "hpa", "embedder": {"maxReplicas": 25}}},
            "Set at most 24",
        ),
        (
            {"autoscaling": {"engine": "hpa", "ingestApi": {"minReplicas": 11}}},
            "is more than its maxReplicas",
        ),
        ({"model": {"source": "volume"}}, "model.existingClaim"),
        ({"model": {"existingClaim": "models"}}, "Set model.source to volume"),
        ({"tracing": {"enabled": True}}, "set tracing.endpoint"),
        ({"auth": {"existingSecret": "mine"}}, "set tests.existingSecret"),
        ({"ingestApi": {"pdb": {"minAvailable": 1}}}, "both minAvailable and maxUnavailable"),
        ({"httpRoute": {"enabled": True}}, "set httpRoute.parentRefs"),
        ({"ingress": {"enabled": True, "hosts": []}}, "set ingress.hosts"),
        (
            {"ingress": {"enabled": True, "tls": [{"secretName": "a", "hosts": ["b.example"]}]}},
            "names b.example, which is none of ingress.hosts",
        ),
        (
            {"scheduler": {"serviceAccount": {"create": False}}},
            "needs scheduler.serviceAccount.name",
        ),
        ({"embedder": {"parser": {"children": 20}}}, "fewer embedder.parser.children"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_refused(render: Renderer, values: Any, message: str) -> None:
    assert message in render.refuses(values)


def test_all_that_is_wrong_is_said_at_once(helm: Renderer) -> None:
    message = helm.refuses({"kafka": {"mode": "external"}, "qdrant": {"mode": "external"}})
    assert "kafka.external.bootstrapServers" in message
    assert "qdrant.external.url" in message


@pytest.mark.parametrize(
    ("mode", "operator"),
    [
        ("strimzi-secured", "Strimzi"),
        ("keda", "KEDA"),
        ("everything", "the Prometheus operator"),
        ("everything", "the Gateway API"),
    ],
)
def test_a_cluster_without_the_operator_is_told_so(
    render: Renderer, mode: str, operator: str
) -> None:
    message = render.refuses(*MODES[mode], kinds=())
    assert operator in message
    assert "crdCheck" in message
