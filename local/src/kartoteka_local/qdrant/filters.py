"""Filters of the REST interface as filters of the engine. What has no equal there is refused."""

# The engine names some of its types in its stubs only.
from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

import qdrant_edge as edge
from qdrant_client import models

from kartoteka_local.qdrant.refusal import Refusal

__all__ = ["filter_of", "point_id", "point_ids"]

_BOUNDS: Final = ("lt", "lte", "gt", "gte")


def filter_of(wanted: models.Filter | None) -> edge.Filter | None:
    """Translate a filter.

    Raises:
        Refusal: 501 where the engine cannot judge a condition; 400 where nobody could.
    """
    return None if wanted is None else _filter(wanted)


def point_id(value: int | str | UUID) -> int | UUID:
    """Return a point's id as the engine takes it.

    Raises:
        Refusal: 400 where it is neither an unsigned integer nor a UUID.
    """
    if isinstance(value, UUID):
        return value
    if isinstance(value, int):
        if 0 <= value < 2**64:
            return value
        raise Refusal.wrong(f"{value} is not a valid point ID")
    try:
        return UUID(value)
    except ValueError:
        raise Refusal.wrong(f"{value!r} is not a valid point ID: an integer or a UUID is") from None


def point_ids(values: Sequence[models.ExtendedPointId]) -> list[int | str | UUID]:
    """Return points' ids as the engine takes them.

    Raises:
        Refusal: 400 where one is none.
    """
    return [point_id(value) for value in values]


def _filter(wanted: models.Filter) -> edge.Filter:
    least = wanted.min_should
    return edge.Filter(
        must=_conditions(wanted.must),
        should=_conditions(wanted.should),
        must_not=_conditions(wanted.must_not),
        min_should=None
        if least is None
        else edge.MinShould(_conditions(least.conditions) or [], least.min_count),
    )


def _conditions(
    conditions: Sequence[models.Condition] | models.Condition | None,
) -> list[edge.ConditionType] | None:
    if conditions is None:
        return None
    # A single condition in place of a list is legal.
    several = conditions if isinstance(conditions, Sequence) else [conditions]
    return [_condition(condition) for condition in several]


def _condition(condition: models.Condition) -> edge.ConditionType:
    match condition:
        case models.FieldCondition():
            return _field(condition)
        case models.Filter():
            return _filter(condition)
        case models.HasIdCondition(has_id=ids):
            return edge.HasIdCondition({point_id(each) for each in ids})
        case models.IsEmptyCondition(is_empty=field):
            return edge.IsEmptyCondition(field.key)
        case models.IsNullCondition(is_null=field):
            return edge.IsNullCondition(field.key)
        case models.NestedCondition(nested=nested):
            return edge.NestedCondition(nested.key, _filter(nested.filter))
        case _:
            raise Refusal.unknown(f"the condition {type(condition).__name__}")


def _field(condition: models.FieldCondition) -> edge.FieldCondition:
    given = condition.model_fields_set - {"key"}
    if unknown := given - {"match", "range", "values_count", "is_empty", "is_null"}:
        raise Refusal.unknown(f"the condition {', '.join(sorted(unknown))}")
    if all(getattr(condition, name) is None for name in given):
        raise Refusal.wrong(f"the condition on {condition.key!r} says nothing")
    counts = condition.values_count
    return edge.FieldCondition(
        condition.key,
        match=None if condition.match is None else _match(condition.match),
        range=None if condition.range is None else _range(condition.range),
        values_count=None if counts is None else edge.ValuesCount(**_bounds(counts)),
        is_empty=condition.is_empty,
        is_null=condition.is_null,
    )


def _match(wanted: models.Match) -> edge.MatchType:
    match wanted:
        case models.MatchValue(value=bool()):
            # The engine's Python binding turns it into an integer, which matches nothing.
            raise Refusal.unknown("a match with a boolean; store the value as a keyword")
        case models.MatchValue(value=value):
            return edge.MatchValue(value)
        case models.MatchAny(any=values):
            return edge.MatchAny(values)
        case models.MatchExcept(except_=values):
            return edge.MatchExcept(values)
        case models.MatchText(text=text):
            return edge.MatchText(text)
        case models.MatchPhrase(phrase=phrase):
            return edge.MatchPhrase(phrase)
        case _:
            raise Refusal.unknown(f"the match {type(wanted).__name__}")


def _range(wanted: models.RangeInterface) -> edge.RangeType:
    bounds = _bounds(wanted)
    if isinstance(wanted, models.DatetimeRange):
        return edge.RangeDateTime(**{name: _moment(bound) for name, bound in bounds.items()})
    return edge.RangeFloat(**{name: float(bound) for name, bound in bounds.items()})


def _bounds(wanted: models.RangeInterface | models.ValuesCount) -> dict[str, Any]:
    found = {name: getattr(wanted, name) for name in _BOUNDS}
    return {name: bound for name, bound in found.items() if bound is not None}


def _moment(bound: date) -> str:
    return bound.isoformat()
