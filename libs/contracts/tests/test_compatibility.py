"""Released schemas: only a new optional field may be added to them."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from kartoteka_contracts.codec import EVENT_TYPES
from kartoteka_contracts.compatibility import incompatibilities
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.wire import Event

RELEASED = Path(__file__).resolve().parent.parent / "released"


def _released(event: type[Event]) -> dict[str, Any]:
    fields = event.model_fields
    name = f"{fields['type'].default}.v{fields['schema_version'].default}.json"
    schema: dict[str, Any] = json.loads((RELEASED / name).read_text("utf-8"))
    return schema


@pytest.mark.parametrize("event", EVENT_TYPES.values(), ids=lambda event: event.__name__)
def test_an_event_is_compatible_with_its_released_schema(event: type[Event]) -> None:
    assert incompatibilities(_released(event), event.model_json_schema()) == ()


def test_no_released_event_is_forgotten() -> None:
    names = {
        f"{event.model_fields['type'].default}.v{event.model_fields['schema_version'].default}.json"
        for event in EVENT_TYPES.values()
    }
    assert {path.name for path in RELEASED.glob("*.json")} == names


def _without_field(schema: dict[str, Any]) -> None:
    del schema["properties"]["sha256"]


def _with_needed_field(schema: dict[str, Any]) -> None:
    schema["properties"]["colour"] = {"type": "string"}
    schema["required"].append("colour")


def _no_longer_needed(schema: dict[str, Any]) -> None:
    schema["required"].remove("sha256")


def _other_type(schema: dict[str, Any]) -> None:
    schema["properties"]["size"]["type"] = "string"


def _narrower(schema: dict[str, Any]) -> None:
    schema["properties"]["filename"]["maxLength"] = 10


@pytest.mark.parametrize(
    "change", [_without_field, _with_needed_field, _no_longer_needed, _other_type, _narrower]
)
def test_a_breaking_change_is_found(change: Any) -> None:
    released = DocumentSubmitted.model_json_schema()
    proposed = copy.deepcopy(released)
    change(proposed)
    assert incompatibilities(released, proposed)


def test_a_new_optional_field_and_other_prose_are_compatible() -> None:
    released = DocumentSubmitted.model_json_schema()
    proposed = copy.deepcopy(released)
    proposed["properties"]["colour"] = {"type": "string", "default": "blue"}
    proposed["properties"]["size"]["description"] = "Bytes of the body."
    assert incompatibilities(released, proposed) == ()
