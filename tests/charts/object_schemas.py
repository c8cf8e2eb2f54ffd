"""What Kubernetes and the operators take: schemas of several minors, unknown fields refused."""

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

__all__ = ["MINORS", "problems"]

MINORS: Final = ("1.32", "1.33", "1.34")
"""Kubernetes' minors for which every object must be right."""

_OWN: Final = Path(__file__).resolve().parent / "schemas"


def problems(item: dict[str, Any], minors: Iterable[str] = MINORS) -> tuple[str, ...]:
    """Return what is wrong with an object, a line each."""
    text = json.dumps(item, sort_keys=True)
    return tuple(line for minor in minors for line in _problems(text, minor))


@cache
def _problems(text: str, minor: str) -> tuple[str, ...]:
    item = json.loads(text)
    kind, version = str(item.get("kind")), str(item.get("apiVersion"))
    validator = _validator(kind, version, minor)
    if validator is None:
        return (f"{kind} of {version} is unknown to Kubernetes {minor} and to tests/charts",)
    name = item.get("metadata", {}).get("name")
    return tuple(
        f"{kind} {name}: {error.json_path}: {error.message[:300]} (Kubernetes {minor})"
        for error in validator.iter_errors(item)
    )


@cache
def _validator(kind: str, version: str, minor: str) -> Draft202012Validator | None:
    group, _, name = version.rpartition("/")
    own = _OWN / f"{kind.lower()}.json"
    if own.exists():
        schema = json.loads(own.read_text("utf-8"))
        known = schema["properties"]["apiVersion"]["const"] == version
        return Draft202012Validator(schema, registry=_registry(minor)) if known else None
    short = "-".join(part for part in (group.partition(".")[0], name) if part)
    source = _folder(minor) / f"{kind.lower()}-{short}.json"
    if not source.exists():
        return None
    return Draft202012Validator(json.loads(source.read_text("utf-8")), registry=_registry(minor))


def _folder(minor: str) -> Path:
    root = Path(str(files("kubernetes_validate"))) / "kubernetes-json-schema"
    return root / f"v{minor}.0-local-strict"


@cache
def _registry(minor: str) -> Registry[Any]:
    definitions = json.loads((_folder(minor) / "_definitions.json").read_text("utf-8"))
    return Resource.from_contents(definitions) @ Registry()
