"""Points in and out: vectors, payloads, and what of them is asked for."""

import math
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import qdrant_edge as edge
from qdrant_client import models

from kartoteka_local.qdrant.filters import point_id
from kartoteka_local.qdrant.refusal import Refusal

__all__ = ["UPDATE_MODES", "edge_points", "payload_selector", "record", "scored", "vector_of"]

UPDATE_MODES: Final = {
    None: edge.UpdateMode.Upsert,
    models.UpdateMode.UPSERT: edge.UpdateMode.Upsert,
    models.UpdateMode.INSERT_ONLY: edge.UpdateMode.InsertOnly,
    models.UpdateMode.UPDATE_ONLY: edge.UpdateMode.UpdateOnly,
}


def edge_points(points: Iterable[models.PointStruct], size: int) -> list[edge.Point]:
    """Translate a batch, all of it or nothing: the engine applies what stands before a bad point.

    Raises:
        Refusal: 400 for a bad id or vector, 501 for a vector that is not plain.
    """
    return [
        edge.Point(point_id(point.id), vector_of(point.vector, size), point.payload)
        for point in points
    ]


def vector_of(vector: object, size: int) -> list[float]:
    """Return a plain vector of the collection's size.

    Raises:
        Refusal: 400 for a wrong size or number, 501 for anything but a list of numbers.
    """
    if not isinstance(vector, list) or not all(isinstance(x, float | int) for x in vector):
        raise Refusal.unknown("vectors other than one plain list of numbers")
    if len(vector) != size:
        raise Refusal.wrong(
            f"Wrong input: Vector dimension error: expected dim: {size}, got {len(vector)}"
        )
    if not all(map(math.isfinite, vector)):
        raise Refusal.wrong("Wrong input: a vector holds a number that is not finite")
    return vector


def payload_selector(
    wanted: models.WithPayloadInterface | None, *, default: bool
) -> bool | edge.PayloadSelector:
    """Return which payload keys are asked for."""
    match wanted:
        case None:
            return default
        case bool():
            return wanted
        case models.PayloadSelectorInclude(include=keys):
            return edge.PayloadSelector.Include(keys)
        case models.PayloadSelectorExclude(exclude=keys):
            return edge.PayloadSelector.Exclude(keys)
        case _:
            return edge.PayloadSelector.Include(wanted)


def record(found: edge.Record) -> dict[str, Any]:
    """Return a stored point as JSON."""
    answer: dict[str, Any] = {"id": _id(found.id)}
    if found.payload is not None:
        answer["payload"] = found.payload
    if found.vector is not None:
        answer["vector"] = found.vector
    return answer


def scored(found: edge.ScoredPoint) -> dict[str, Any]:
    """Return a hit as JSON."""
    answer: dict[str, Any] = {
        "id": _id(found.id),
        "version": found.version,
        "score": found.score,
    }
    if found.payload is not None:
        answer["payload"] = found.payload
    if found.vector is not None:
        answer["vector"] = found.vector
    return answer


def _id(found: int | str | UUID) -> int | str:
    return found if isinstance(found, int) else str(found)
