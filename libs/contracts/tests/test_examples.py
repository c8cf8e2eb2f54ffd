"""Golden examples: what was once valid stays readable, what is not is refused by every reader."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kartoteka_contracts.codec import EVENT_TYPES, decode, encode
from kartoteka_contracts.errors import MalformedEventError

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*/v*/*.json"))
VALID = [path for path in EXAMPLES if path.name.startswith("valid-")]
INVALID = [path for path in EXAMPLES if path.name.startswith("invalid-")]


def _name(path: Path) -> str:
    return f"{path.parent.parent.name}-{path.stem}"


def _validator(path: Path) -> jsonschema.Draft202012Validator:
    event, version = path.parent.parent.name, path.parent.name
    schema = json.loads((ROOT / "schemas" / f"{event}.{version}.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def test_every_event_has_valid_and_invalid_examples() -> None:
    for name, version in EVENT_TYPES:
        for paths in (VALID, INVALID):
            assert any(
                (path.parent.parent.name, path.parent.name) == (name, f"v{version}")
                for path in paths
            ), f"{name} v{version}"


@pytest.mark.parametrize("path", VALID, ids=_name)
def test_a_valid_example_passes_schema_and_codec(path: Path) -> None:
    raw = json.loads(path.read_bytes())
    _validator(path).validate(raw)
    event = decode(path.read_bytes())
    again = decode(encode(event))
    assert again == event
    assert _is_kept(raw, json.loads(encode(event)))


def _is_kept(raw: Any, written: Any) -> bool:
    """Whether all that an example says is written again, apart from fields of later releases."""
    if not isinstance(raw, dict):
        return bool(raw == written)
    return all(_is_kept(raw[name], written[name]) for name in raw.keys() & written.keys())


@pytest.mark.parametrize("path", INVALID, ids=_name)
def test_an_invalid_example_is_refused_by_the_codec(path: Path) -> None:
    with pytest.raises(MalformedEventError):
        decode(path.read_bytes())


@pytest.mark.parametrize(
    # A schema cannot say that a time needs a zone without a format checker for it.
    "path",
    [path for path in INVALID if path.stem != "invalid-time-without-zone"],
    ids=_name,
)
def test_an_invalid_example_is_refused_by_the_schema(path: Path) -> None:
    assert not _validator(path).is_valid(json.loads(path.read_bytes()))
