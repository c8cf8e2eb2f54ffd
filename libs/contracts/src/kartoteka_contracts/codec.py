"""Bytes to events and back. The only way in is :func:`decode`, which checks everything."""

import json
from typing import Any, Final

from pydantic import ValidationError

from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSeen
from kartoteka_contracts.errors import MalformedEventError, UnsupportedSchemaError
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
    TaskProgressed,
    TaskStatusChanged,
)
from kartoteka_contracts.operations import ReconcileEnded
from kartoteka_contracts.reindex import ReindexRequested, RunContinued, RunProgressed, SlotsEmitted
from kartoteka_contracts.wire import Event

__all__ = ["EVENT_TYPES", "decode", "encode"]

EVENT_TYPES: Final[dict[tuple[str, int], type[Event]]] = {
    (model.model_fields["type"].default, model.model_fields["schema_version"].default): model
    for model in (
        DocumentSubmitted,
        DocumentDeletionRequested,
        TaskCancellationRequested,
        CabinetDeletionRequested,
        TaskProgressed,
        TaskStatusChanged,
        CabinetSeen,
        CabinetConfigured,
        ReindexRequested,
        RunContinued,
        RunProgressed,
        SlotsEmitted,
        ReconcileEnded,
    )
}
"""Every event by type name and schema version."""

_SHOWN_ERRORS: Final = 3
_ESCAPED_SURROGATE: Final = r"\ud"


def encode(event: Event) -> bytes:
    """Return the UTF-8 JSON of an event."""
    return event.model_dump_json().encode()


def decode(value: bytes | None) -> Event:
    """Read one event.

    Raises:
        MalformedEventError: the value is no JSON object, or breaks its type's schema.
        UnsupportedSchemaError: its type or schema version is not known to this release.
    """
    raw = _object(value)
    name, version = raw.get("type"), raw.get("schema_version")
    if not isinstance(name, str) or not isinstance(version, int):
        raise MalformedEventError("the event has no type or no schema_version")
    model = EVENT_TYPES.get((name, version))
    if model is None:
        raise UnsupportedSchemaError(f"no event {name!r} of schema version {version} is known here")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise MalformedEventError(f"{name} v{version}: {_summary(error)}") from error


def _object(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise MalformedEventError("the record has no value")
    try:
        text = value.decode()
        raw = json.loads(text)
        if _ESCAPED_SURROGATE in text.lower():  # half of a pair could never be written again
            json.dumps(raw, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise MalformedEventError("the value is not JSON in UTF-8") from error
    if not isinstance(raw, dict):
        raise MalformedEventError("the value is not a JSON object")
    return raw


def _summary(error: ValidationError) -> str:
    shown = [
        f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return "; ".join(shown[:_SHOWN_ERRORS])
