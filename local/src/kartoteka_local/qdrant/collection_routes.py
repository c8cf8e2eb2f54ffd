"""Calls about collections and their payload indexes."""

from typing import Any, Final

from pydantic import TypeAdapter
from qdrant_client import models
from starlette.requests import Request
from starlette.routing import Route

from kartoteka_local.qdrant.answers import allow_only, answered, body, store_of
from kartoteka_local.qdrant.collection import Collection
from kartoteka_local.qdrant.indexes import index_info, index_params
from kartoteka_local.qdrant.refusal import Refusal

__all__ = ["ROUTES"]

_CREATE: Final = TypeAdapter(models.CreateCollection)
_INDEX: Final = TypeAdapter(models.CreateFieldIndex)
_DONE: Final = {"operation_id": 0, "status": "completed"}

# Where data lies and how many copies there are: one node with an exact engine has no choice in it,
# and answers stay the same.
_LAYOUT: Final = (
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
    "on_disk_payload",
    "hnsw_config",
    "optimizers_config",
    "wal_config",
)


async def _list(request: Request) -> Any:
    return {"collections": [{"name": name} for name in store_of(request).collections]}


async def _exists(request: Request) -> Any:
    return {"exists": request.path_params["name"] in store_of(request).collections}


async def _create(request: Request) -> Any:
    created = await body(request, _CREATE)
    allow_only(created, "vectors", "metadata", *_LAYOUT)
    if not isinstance(created.vectors, models.VectorParams):
        raise Refusal.unknown("named vectors, or a collection without vectors")
    allow_only(created.vectors, "size", "distance", "hnsw_config", "on_disk", "memory")
    store_of(request).create(request.path_params["name"], created)
    return True


async def _delete(request: Request) -> Any:
    return store_of(request).delete(request.path_params["name"])


async def _describe(request: Request) -> Any:
    info = _info(store_of(request).get(request.path_params["name"]))
    return info.model_dump(mode="json", exclude_none=True, by_alias=True)


async def _index(request: Request) -> Any:
    collection = store_of(request).get(request.path_params["name"])
    wanted = await body(request, _INDEX)
    if wanted.field_schema is None:
        raise Refusal.unknown("a payload index without a schema")
    collection.index(wanted.field_name, wanted.field_schema, index_params(wanted.field_schema))
    return _DONE


async def _unindex(request: Request) -> Any:
    store_of(request).get(request.path_params["name"]).unindex(request.path_params["field"])
    return _DONE


def _info(collection: Collection) -> models.CollectionInfo:
    created = collection.meta.created
    shard = collection.read(lambda shard: shard.info())
    return models.CollectionInfo(
        status=models.CollectionStatus.GREEN,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        points_count=shard.points_count,
        indexed_vectors_count=shard.indexed_vectors_count,
        segments_count=shard.segments_count,
        config=_config(created),
        payload_schema={
            field: index_info(schema, shard.payload_schema[field].points)
            for field, schema in collection.meta.indexes.items()
            if field in shard.payload_schema
        },
    )


def _config(created: models.CreateCollection) -> models.CollectionConfig:
    hnsw = created.hnsw_config or models.HnswConfigDiff()
    return models.CollectionConfig(
        params=models.CollectionParams(
            vectors=created.vectors,
            shard_number=created.shard_number or 1,
            replication_factor=created.replication_factor or 1,
            write_consistency_factor=created.write_consistency_factor or 1,
            on_disk_payload=True,
        ),
        hnsw_config=models.HnswConfig(
            m=16 if hnsw.m is None else hnsw.m,
            ef_construct=hnsw.ef_construct or 100,
            full_scan_threshold=hnsw.full_scan_threshold or 10_000,
            payload_m=hnsw.payload_m,
        ),
        optimizer_config=models.OptimizersConfig(default_segment_number=0, flush_interval_sec=5),
        wal_config=models.WalConfig(wal_capacity_mb=32, wal_segments_ahead=0),
        metadata=created.metadata,
    )


ROUTES: Final = [
    Route("/collections", answered(_list), methods=["GET"]),
    Route("/collections/{name}/exists", answered(_exists), methods=["GET"]),
    Route("/collections/{name}", answered(_describe), methods=["GET"]),
    Route("/collections/{name}", answered(_create), methods=["PUT"]),
    Route("/collections/{name}", answered(_delete), methods=["DELETE"]),
    Route("/collections/{name}/index", answered(_index), methods=["PUT"]),
    Route("/collections/{name}/index/{field}", answered(_unindex), methods=["DELETE"]),
]
