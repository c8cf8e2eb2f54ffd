"""Ways to install the chart: each rule of the tests holds in all of them."""

from itertools import product
from typing import Any, Final

from tests.charts.rendering import CHART, Values

__all__ = ["MODES", "REPRESENTATIVE", "THEIRS"]

_STORES: Final = {
    "qdrant": {"external": {"url": "https://qdrant.example:6333"}},
    "objectStorage": {"external": {"url": "s3://bucket/prefix"}},
}
_SECRETS: Final = {
    "auth": {"existingSecret": "my-keys", "existingSecretKey": "ring.json"},
    "tests": {"existingSecret": "my-admin", "existingSecretKey": "key"},
    "qdrant": {"apiKey": {"existingSecret": "my-qdrant", "existingSecretKey": "token"}},
    "objectStorage": {
        "credentials": {
            "existingSecret": "my-s3",
            "accessKeyIdKey": "id",
            "secretAccessKeyKey": "secret",
        }
    },
    "sources": {"existingSecret": "my-sources", "allowedUrls": ["s3://theirs/"]},
}
THEIRS: Final = frozenset(
    {"my-keys", "my-admin", "my-qdrant", "my-s3", "my-sources", "my-kafka", "my-ca", "my-client"}
    | {"kartoteka-kafka-ca", "kartoteka-kafka-user", "kartoteka-qdrant-key", "kartoteka-s3"}
)
"""Secrets that users of these modes have made themselves."""

_KAFKA_WITH_ALL: Final = {
    "mode": "external",
    "external": {"bootstrapServers": "a.example:9093,b.example:9093"},
    "tls": {"enabled": True, "caSecret": "my-ca", "clientSecret": "my-client"},
    "sasl": {"enabled": True, "existingSecret": "my-kafka", "mechanism": "PLAIN"},
}
_MONITORING: Final = {
    "metrics": {
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "relabelings": [{"sourceLabels": ["__meta_x"], "targetLabel": "x"}],
        },
        "podMonitor": {"enabled": True, "metricRelabelings": [{"regex": "x", "action": "drop"}]},
    },
    "dashboards": {"enabled": True, "namespace": "grafana"},
    "alerts": {"enabled": True, "runbookUrl": "https://docs.example/runbooks"},
    "tracing": {"enabled": True, "endpoint": "http://collector.example:4318", "sampleRatio": 0.1},
}
_POD: Final[dict[str, Any]] = {
    "podAnnotations": {"example.com/a": "1"},
    "podLabels": {"example.com/team": "docs"},
    "extraEnv": [{"name": "KAFKA_REPLICATION_FACTOR", "value": "1"}],
    "extraVolumes": [{"name": "more", "emptyDir": {"sizeLimit": "1Mi"}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "docs", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "runtimeClassName": "gvisor",
}
_EVERYTHING: Final[dict[str, Any]] = {
    **_MONITORING,
    "commonLabels": {"example.com/unit": "search"},
    "commonAnnotations": {"example.com/contact": "docs"},
    "global": {"imageRegistry": "registry.example", "imagePullSecrets": ["pull"]},
    "ingress": {"enabled": True, "tls": [{"secretName": "tls", "hosts": ["kartoteka.local"]}]},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["a.example"]},
    "model": {"source": "volume", "existingClaim": "models"},
    **dict.fromkeys(("ingestApi", "embedder", "scheduler", "reconcile", "topics"), _POD),
}  # fmt: skip
_LITTLE: Final = {
    "scheduler": {"enabled": False},
    "reconcile": {"enabled": False},
    "topics": {"provision": False},
    "tests": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "ingestApi": {"serviceAccount": {"create": False}, "pdb": {"enabled": False}},
    "embedder": {"serviceAccount": {"create": False, "name": "theirs"}, "replicas": 1},
}
_STRIMZI: Final = {"mode": "strimzi", "replicationFactor": 3, "minInsyncReplicas": 2}
_ALONE: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("kafka", "external"): {"external": {"bootstrapServers": "kafka.example:9092"}},
    ("kafka", "strimzi"): _STRIMZI,
    ("qdrant", "external"): {"external": {"url": "http://qdrant.example:6333"}},
    ("objectStorage", "external"): {"external": {"endpoint": "https://s3.example"}},
}


def _mixed() -> dict[str, tuple[Values, ...]]:
    """Return every combination of the stores' modes, with as little as each needs."""
    found: dict[str, tuple[Values, ...]] = {}
    choices = product(
        ("builtin", "strimzi", "external"), ("builtin", "external"), ("builtin", "external")
    )
    for kafka, qdrant, objects in choices:
        modes = {"kafka": kafka, "qdrant": qdrant, "objectStorage": objects}
        found[f"kafka-{kafka}-qdrant-{qdrant}-objects-{objects}"] = (
            {
                store: {"mode": mode} | _ALONE.get((store, mode), {})
                for store, mode in modes.items()
            },
        )
    return found


_EXTERNAL: Final = CHART / "values-external.yaml"

REPRESENTATIVE: Final[dict[str, tuple[Values, ...]]] = {
    "default": (),
    "external": (_EXTERNAL,),
    "production": (CHART / "values-production.yaml", _EXTERNAL),
    "everything": (_EVERYTHING,),
}
"""Rendered at every run of the tests."""

MODES: Final[dict[str, tuple[Values, ...]]] = {
    **REPRESENTATIVE,
    **_mixed(),
    "dev": (CHART / "values-dev.yaml",),
    "ha": (CHART / "values-ha.yaml", _STORES),
    **{
        path.stem.removeprefix("values-"): (path,)
        for path in sorted(CHART.glob("values-ingress-*.yaml"))
    },
    "little": (_LITTLE,),
    "secrets": (_SECRETS,),
    "kafka-with-all": ({"kafka": _KAFKA_WITH_ALL},),
    "kafka-password": (
        {
            "kafka": {
                **_KAFKA_WITH_ALL,
                "tls": {"enabled": False},
                "sasl": {"enabled": True, "username": "u", "password": "p", "existingSecret": ""},
            }
        },
    ),
    "strimzi-secured": (
        {"kafka": {**_STRIMZI, "tls": {"enabled": True}, "sasl": {"enabled": True}}},
    ),
    "hpa": ({"autoscaling": {"engine": "hpa"}},),
    "keda": ({"autoscaling": {"engine": "keda"}},),
    "keda-secured": ({"autoscaling": {"engine": "keda"}, "kafka": _KAFKA_WITH_ALL},),
    "keda-strimzi": (CHART / "values-ha.yaml", _STORES, {"autoscaling": {"engine": "keda"}}),
    "long-names": ({"fullnameOverride": "a" * 63, "nameOverride": "b" * 63},),
    "digests": (
        {
            name: {"image": {"digest": "sha256:" + "0" * 64}}
            for name in ("ingestApi", "embedder", "scheduler")
        },
    ),
}
"""All of them; most only in `make test-chart`."""
