"""Whether a schema may take the place of the one that is released.

Records outlive releases (a dead letter for 30 days, a rebuild for good), and old and new pods run
side by side, so the only compatible change is a new optional field. All else is a new version.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["incompatibilities"]

Schema = Mapping[str, Any]

_PROSE: Final = frozenset({"description", "title", "examples", "default"})
_STRUCTURE: Final = frozenset({"properties", "required", "$defs"})


def incompatibilities(released: Schema, proposed: Schema) -> tuple[str, ...]:
    """Return what makes ``proposed`` break readers or records of ``released``; empty: nothing."""
    return tuple(_compare(released, proposed, "event"))


def _compare(old: Schema, new: Schema, place: str) -> Iterator[str]:
    yield from _compare_fields(old, new, place)
    old_defs, new_defs = old.get("$defs", {}), new.get("$defs", {})
    for name in old_defs.keys() & new_defs.keys():
        yield from _compare(old_defs[name], new_defs[name], name)
    if _rules(old) != _rules(new):
        yield f"{place}: its rules changed from {_rules(old)} to {_rules(new)}"


def _compare_fields(old: Schema, new: Schema, place: str) -> Iterator[str]:
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    for field in sorted(old_fields.keys() - new_fields.keys()):
        yield f"{place}.{field}: removed"
    for field in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{place}.{field}: now required"
    for field in sorted(set(old.get("required", ())) - set(new.get("required", ()))):
        yield f"{place}.{field}: no longer required, but released readers require it"
    for field in sorted(old_fields.keys() & new_fields.keys()):
        yield from _compare(old_fields[field], new_fields[field], f"{place}.{field}")


def _rules(schema: Schema) -> dict[str, Any]:
    return {
        name: _without_prose(value)
        for name, value in schema.items()
        if name not in _PROSE and name not in _STRUCTURE
    }


def _without_prose(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_prose(item) for name, item in value.items() if name not in _PROSE}
    if isinstance(value, list):
        return [_without_prose(item) for item in value]
    return value
