"""values.schema.json: what values.yaml names, and nothing else, each of its kind.

Kinds are read off the defaults; rules by path say what a default cannot: choices, ranges, patterns.
A key that is added to values.yaml is in the schema after `make docs`.
"""

import json
import re
from typing import Any, Final

from docs.chart_values import Value

_Schema = dict[str, Any]

_OBJECT: Final[_Schema] = {"type": "object"}
_TEXT: Final[_Schema] = {"type": "string"}
_TEXTS: Final[_Schema] = {"type": "array", "items": _TEXT}
_OBJECTS: Final[_Schema] = {"type": "array", "items": _OBJECT}
_STRING_MAP: Final[_Schema] = {"type": "object", "additionalProperties": _TEXT}
_COUNT: Final[_Schema] = {"type": "integer", "minimum": 1}
_PORT: Final[_Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
_PORTS: Final[_Schema] = {"type": "array", "items": _PORT, "uniqueItems": True}
_DURATION: Final[_Schema] = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"}
_QUANTITY: Final[_Schema] = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"},
    ]
}
_DISK: Final[_Schema] = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)$"}
_NAME: Final[_Schema] = {
    "type": "string",
    "pattern": "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$",
    "maxLength": 253,
}
_SECRET_KEY: Final[_Schema] = {"type": "string", "pattern": "^[-._a-zA-Z0-9]+$", "maxLength": 253}
_PODS: Final[_Schema] = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": "^([0-9]+%)?$"},
    ]
}


def _closed(**properties: _Schema) -> _Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _one_of(*choices: str) -> _Schema:
    return {"type": "string", "enum": list(choices)}


def _whole(least: int, most: int | None = None) -> _Schema:
    return {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most})


_AMOUNTS: Final[_Schema] = {"type": "object", "additionalProperties": _QUANTITY}
_RULES: Final[tuple[tuple[str, _Schema], ...]] = (
    # Lists and maps whose default is empty, by their last name.
    (r"resources", _closed(requests=_AMOUNTS, limits=_AMOUNTS, claims=_OBJECTS)),
    (r"(.*\.)?(nodeSelector|labels|annotations|podLabels|podAnnotations)", _STRING_MAP),
    (r"common(Labels|Annotations)", _STRING_MAP),
    (r"(.*\.)?affinity", _OBJECT),
    (r"(.*\.)?settings", {
        "type": "object",
        "propertyNames": {"pattern": "^[A-Z][A-Z0-9_]*$"},
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    }),
    (r"(.*\.)?extraEnv", {
        "type": "array",
        "items": _closed(name=_TEXT, value=_TEXT, valueFrom=_OBJECT) | {"required": ["name"]},
    }),
    (r"global\.imagePullSecrets", {
        "type": "array",
        "items": {"anyOf": [_TEXT, _closed(name=_TEXT) | {"required": ["name"]}]},
    }),
    (r"sources\.allowedUrls", {
        "type": "array", "items": {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*://"},
    }),
    (r"ingress\.hosts", {
        "type": "array",
        "items": _closed(host=_TEXT, paths={
            "type": "array",
            "items": _closed(
                path={"type": "string", "pattern": "^/"},
                pathType=_one_of("Prefix", "Exact", "ImplementationSpecific"),
            ),
        }),
    }),
    (r"ingress\.tls", {"type": "array", "items": _closed(secretName=_TEXT, hosts=_TEXTS)}),
    (r"httpRoute\.hostnames", _TEXTS),
    (r"networkPolicy\.\w+Ports", _PORTS),
    (r"alerts\.overrides", {
        "type": "object",
        "additionalProperties": _closed(
            enabled={"type": "boolean"}, **{"for": _DURATION}, severity=_TEXT
        ),
    }),
    (r"extraObjects", {"type": "array", "items": {"type": ["object", "string"]}}),
    # Choices.
    (r"image\.pullPolicy", _one_of("Always", "IfNotPresent", "Never")),
    (r"podDefaults\.topologySpreadMode\.\w+", _one_of("ScheduleAnyway", "DoNotSchedule")),
    (r"ingestApi\.service\.type", _one_of("ClusterIP", "NodePort", "LoadBalancer")),
    (r"model\.source", _one_of("baked", "volume")),
    (r"model\.backend", _one_of("openvino", "hash")),
    (r"reindex\.mode", _one_of("changed", "full", "failed")),
    (r"kafka\.mode", _one_of("builtin", "strimzi", "external")),
    (r"kafka\.sasl\.mechanism", _one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")),
    (r"(qdrant|objectStorage)\.mode", _one_of("builtin", "external")),
    (r"autoscaling\.engine", _one_of("none", "hpa", "keda")),
    (r"log\.level", _one_of("debug", "info", "warning", "error")),
    (r"log\.format", _one_of("json", "console")),
    # Texts of a form.
    (r"(.*\.)?schedule", {
        "type": "string",
        "pattern": (
            "^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)"
            "|[0-9*/,A-Za-z-]+( +[0-9*/,A-Za-z-]+){4})$"
        ),
    }),
    (r"(.*\.)?timeZone", {"type": "string", "pattern": "^[A-Za-z]+([/_+-][A-Za-z0-9_+-]+)*$"}),
    (r"(.*\.)?digest", {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}),
    (r"(.*\.)?repository", {"type": "string", "pattern": "^[a-z0-9]+([._/-]+[a-z0-9]+)*$"}),
    (r"(.*\.)?(interval|scrapeTimeout|requestTimeout)", _DURATION),
    (r"(.*\.)?size", _DISK),
    (r"(.*\.)?(\w+Secret|existingClaim|storageClass|priorityClassName|runtimeClassName)", _NAME),
    (r"(.*\.)?(caSecretKey|usernameKey|passwordKey|existingSecretKey|\w+KeyKey|accessKeyIdKey)",
     _SECRET_KEY),
    (r"(nameOverride|fullnameOverride)",
     {"type": "string", "pattern": "^([a-z]([a-z0-9-]*[a-z0-9])?)?$", "maxLength": 63}),
    (r"kafka\.external\.bootstrapServers",
     {"type": "string", "pattern": "^([^,\\s:]+:[0-9]+(,[^,\\s:]+:[0-9]+)*)?$"}),
    (r"kafka\.builtin\.heap", {"type": "string", "pattern": "^[0-9]+[mg]$"}),
    (r"embedder\.parser\.memory", {"anyOf": [_DISK, {"const": ""}]}),
    (r"qdrant\.external\.url", {"type": "string", "pattern": "^(https?://[^\\s/]+.*)?$"}),
    (r"tracing\.endpoint", {"type": "string", "pattern": "^(https?://[^\\s/]+.*)?$"}),
    (r"objectStorage\.external\.endpoint", {"type": "string", "pattern": "^(https?://\\S+)?$"}),
    (r"objectStorage\.external\.url", {"type": "string", "pattern": "^([a-z0-9]+://\\S+)?$"}),
    # Ranges.
    (r"(.*\.)?pdb\.(min|max)\w+", _PODS),
    (r"tracing\.sampleRatio", {"type": "number", "minimum": 0, "maximum": 1}),
    (r"ingestApi\.service\.port", _PORT),
    (r"kafka\.(jobPartitions|replicationFactor|minInsyncReplicas)", _COUNT),
    (r"kafka\.strimzi\.replicas", _COUNT),
    (r"qdrant\.(shards|replicationFactor|writeConsistencyFactor)", _COUNT),
    (r"autoscaling\.\w+\.targetCPU", _whole(1, 1000)),
    (r"autoscaling\.embedder\.scaleDownStabilizationSeconds", _whole(0, 3600)),
    (r"autoscaling\.\w+\.\w+", _COUNT),
    (r"(.*\.)?startingDeadlineSeconds", _whole(10)),
    (r"(.*\.)?(activeDeadlineSeconds|timeoutSeconds|waitSeconds|drainSeconds)", _COUNT),
    (r"embedder\.parser\.children", _COUNT),
    (r"tests\.cabinetId", _COUNT),
)  # fmt: skip


def schema(root: Value) -> str:
    """Return the text of values.schema.json."""
    found = {"$schema": "http://json-schema.org/draft-07/schema#", **_of(root)}
    found["title"] = "Values of the Kartoteka chart"
    # A parent chart says so in what it hands down, where it has a condition on this one.
    found["properties"]["enabled"] = {"type": "boolean"}
    # It also hands down all globals, most of which are for others.
    del found["properties"]["global"]["additionalProperties"]
    return json.dumps(found, indent=2) + "\n"


def _of(value: Value) -> _Schema:
    found = dict(_ruled(value) or _inferred(value))
    return found | ({"description": value.about} if value.about else {})


def _ruled(value: Value) -> _Schema | None:
    for pattern, rule in _RULES:
        if re.fullmatch(pattern, value.path) or pattern == value.name:
            return rule
    return None


def _inferred(value: Value) -> _Schema:
    if value.children:
        return _closed(**{child.name: _of(child) for child in value.children})
    match value.default:
        case bool():
            return {"type": "boolean"}
        case int():
            return _whole(0)
        case float():
            return {"type": "number", "minimum": 0}
        case str():
            return _TEXT
        case list():
            return _OBJECTS
        case _:
            raise TypeError(
                f"{value.path} is an empty map: give docs/chart_schema.py a rule for it"
            )
