"""Calls that read points."""

from typing import Any, Final

import qdrant_edge as edge
from pydantic import TypeAdapter
from qdrant_client import models
from starlette.requests import Request
from starlette.routing import Route

from kartoteka_local.qdrant.answers import allow_only, answered, body, store_of
from kartoteka_local.qdrant.collection import Collection
from kartoteka_local.qdrant.filters import filter_of, point_id, point_ids
from kartoteka_local.qdrant.points import payload_selector, record, scored, vector_of
from kartoteka_local.qdrant.refusal import Refusal

__all__ = ["ROUTES"]

_RETRIEVE: Final = TypeAdapter(models.PointRequest)
_SCROLL: Final = TypeAdapter(models.ScrollRequest)
_COUNT: Final = TypeAdapter(models.CountRequest)
_QUERY: Final = TypeAdapter(models.QueryRequest)
_BATCH: Final = TypeAdapter(models.QueryRequestBatch)
_PAGE: Final = 10


async def _retrieve(request: Request) -> Any:
    wanted = await body(request, _RETRIEVE)
    allow_only(wanted, "ids", "with_payload", "with_vector")
    return [
        record(each)
        for each in _records(
            store_of(request).get(request.path_params["name"]),
            wanted.ids,
            with_payload=payload_selector(wanted.with_payload, default=True),
            with_vector=wanted.with_vector or False,
        )
    ]


async def _one(request: Request) -> Any:
    text: str = request.path_params["point"]
    wanted = int(text) if text.isdecimal() else text
    collection = store_of(request).get(request.path_params["name"])
    found = _records(collection, [wanted], with_payload=True, with_vector=True)
    if not found:
        raise Refusal.absent(f"Not found: Point with id {text} does not exists!")
    return record(found[0])


async def _scroll(request: Request) -> Any:
    wanted = await body(request, _SCROLL)
    allow_only(wanted, "offset", "limit", "filter", "with_payload", "with_vector")
    asked = edge.ScrollRequest(
        offset=None if wanted.offset is None else point_id(wanted.offset),
        limit=_natural("limit", wanted.limit, default=_PAGE, least=1),
        filter=filter_of(wanted.filter),
        with_payload=payload_selector(wanted.with_payload, default=True),
        with_vector=wanted.with_vector or False,
    )
    collection = store_of(request).get(request.path_params["name"])
    found, following = collection.read(lambda shard: shard.scroll(asked))
    return {
        "points": [record(each) for each in found],
        "next_page_offset": following
        if following is None or isinstance(following, int)
        else str(following),
    }


async def _count(request: Request) -> Any:
    wanted = await body(request, _COUNT)
    # An estimate may be exact.
    allow_only(wanted, "filter", "exact")
    collection = store_of(request).get(request.path_params["name"])
    return {"count": collection.count(filter_of(wanted.filter))}


async def _query(request: Request) -> Any:
    wanted = await body(request, _QUERY)
    collection = store_of(request).get(request.path_params["name"])
    return _nearest(collection, wanted)


async def _query_batch(request: Request) -> Any:
    wanted = await body(request, _BATCH)
    collection = store_of(request).get(request.path_params["name"])
    return [_nearest(collection, each) for each in wanted.searches]


def _nearest(collection: Collection, wanted: models.QueryRequest) -> dict[str, Any]:
    allow_only(
        wanted,
        "query",
        "filter",
        "params",
        "score_threshold",
        "limit",
        "offset",
        "with_vector",
        "with_payload",
    )
    if wanted.params is not None:
        # Every scan is exact here.
        allow_only(wanted.params, "hnsw_ef", "exact")
    asked = edge.QueryRequest(
        limit=_natural("limit", wanted.limit, default=_PAGE, least=1),
        offset=_natural("offset", wanted.offset, default=0, least=0),
        query=edge.Query.Nearest(_vector(wanted.query, collection.meta.vectors.size)),
        filter=filter_of(wanted.filter),
        score_threshold=wanted.score_threshold,
        with_payload=payload_selector(wanted.with_payload, default=False),
        with_vector=wanted.with_vector or False,
    )
    return {"points": [scored(each) for each in collection.read(lambda shard: shard.query(asked))]}


def _vector(query: object, size: int) -> list[float]:
    if isinstance(query, models.NearestQuery):
        allow_only(query, "nearest")
        query = query.nearest
    if not isinstance(query, list):
        raise Refusal.unknown(f"the query {type(query).__name__}")
    return vector_of(query, size)


def _records(
    collection: Collection,
    ids: list[models.ExtendedPointId],
    *,
    with_payload: bool | edge.PayloadSelector,
    with_vector: bool | list[str],
) -> list[edge.Record]:
    wanted = point_ids(ids)
    return collection.read(lambda shard: shard.retrieve(wanted, with_payload, with_vector))


def _natural(name: str, value: int | None, *, default: int, least: int) -> int:
    if value is None:
        return default
    if value < least:
        raise Refusal.wrong(f"{name} is at least {least}")
    return value


ROUTES: Final = [
    Route("/collections/{name}/points", answered(_retrieve), methods=["POST"]),
    Route("/collections/{name}/points/scroll", answered(_scroll), methods=["POST"]),
    Route("/collections/{name}/points/count", answered(_count), methods=["POST"]),
    Route("/collections/{name}/points/query", answered(_query), methods=["POST"]),
    Route("/collections/{name}/points/query/batch", answered(_query_batch), methods=["POST"]),
    Route("/collections/{name}/points/{point}", answered(_one), methods=["GET"]),
]
