"""Calls that write points. Each is checked as a whole, then applied by one engine operation."""

from typing import Any, Final

import qdrant_edge as edge
from pydantic import TypeAdapter
from qdrant_client import models
from starlette.requests import Request
from starlette.routing import Route

from kartoteka_local.qdrant.answers import allow_only, answered, body, store_of
from kartoteka_local.qdrant.filters import filter_of, point_ids
from kartoteka_local.qdrant.points import UPDATE_MODES, edge_points
from kartoteka_local.qdrant.refusal import Refusal

__all__ = ["ROUTES"]

_POINTS: Final[TypeAdapter[models.PointInsertOperations]] = TypeAdapter(
    models.PointInsertOperations
)
_SELECTOR: Final[TypeAdapter[models.PointsSelector]] = TypeAdapter(models.PointsSelector)
_SET: Final = TypeAdapter(models.SetPayload)
_DELETE: Final = TypeAdapter(models.DeletePayload)
_DONE: Final = {"operation_id": 0, "status": "completed"}


async def _upsert(request: Request) -> Any:
    wanted = await body(request, _POINTS)
    collection = store_of(request).get(request.path_params["name"])
    allow_only(wanted, "points", "batch", "update_filter", "update_mode")
    points = edge_points(_structs(wanted), collection.meta.vectors.size)
    condition = filter_of(wanted.update_filter)
    mode = UPDATE_MODES[wanted.update_mode]
    if points:
        collection.write(edge.UpdateOperation.upsert_points(points, condition, mode))
    return _DONE


def _structs(wanted: models.PointInsertOperations) -> list[models.PointStruct]:
    if isinstance(wanted, models.PointsList):
        return wanted.points
    batch = wanted.batch
    vectors: Any = batch.vectors
    payloads: list[Any] = batch.payloads or [None] * len(batch.ids)
    if not isinstance(vectors, list) or not len(batch.ids) == len(vectors) == len(payloads):
        raise Refusal.wrong("a batch has as many vectors and payloads as ids")
    return [
        models.PointStruct(id=each, vector=vector, payload=payload)
        for each, vector, payload in zip(batch.ids, vectors, payloads, strict=True)
    ]


async def _delete(request: Request) -> Any:
    wanted = await body(request, _SELECTOR)
    collection = store_of(request).get(request.path_params["name"])
    allow_only(wanted, "points", "filter")
    if isinstance(wanted, models.PointIdsList):
        ids = point_ids(wanted.points)
        collection.write(edge.UpdateOperation.delete_points(ids), deleting=len(ids))
    else:
        matched = _required(wanted.filter)
        operation = edge.UpdateOperation.delete_points_by_filter(matched)
        collection.write(operation, deleting=collection.count(matched))
    return _DONE


async def _set_payload(request: Request) -> Any:
    wanted = await body(request, _SET)
    collection = store_of(request).get(request.path_params["name"])
    allow_only(wanted, "payload", "points", "filter", "key")
    if wanted.points is not None:
        ids = point_ids(wanted.points)
        operation = edge.UpdateOperation.set_payload(ids, wanted.payload, wanted.key)
    else:
        matched = _required(wanted.filter)
        operation = edge.UpdateOperation.set_payload_by_filter(matched, wanted.payload, wanted.key)
    collection.write(operation)
    return _DONE


async def _delete_payload(request: Request) -> Any:
    wanted = await body(request, _DELETE)
    collection = store_of(request).get(request.path_params["name"])
    allow_only(wanted, "keys", "points", "filter")
    if wanted.points is not None:
        ids = point_ids(wanted.points)
        operation = edge.UpdateOperation.delete_payload(ids, wanted.keys)
    else:
        matched = _required(wanted.filter)
        operation = edge.UpdateOperation.delete_payload_by_filter(matched, wanted.keys)
    collection.write(operation)
    return _DONE


def _required(wanted: models.Filter | None) -> edge.Filter:
    matched = filter_of(wanted)
    if matched is None:
        raise Refusal.wrong("neither points nor a filter is given")
    return matched


ROUTES: Final = [
    Route("/collections/{name}/points", answered(_upsert), methods=["PUT"]),
    Route("/collections/{name}/points/delete", answered(_delete), methods=["POST"]),
    Route("/collections/{name}/points/payload", answered(_set_payload), methods=["POST"]),
    Route("/collections/{name}/points/payload/delete", answered(_delete_payload), methods=["POST"]),
]
