"""The two collections: what they are made like, and whether those that are there are ours."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from qdrant_client import AsyncQdrantClient, models

from kartoteka_contracts.errors import KartotekaError
from kartoteka_index.cabinet_filter import CABINET, RUN_STEP
from kartoteka_index.client import QdrantSettings
from kartoteka_index.failures import attempt
from kartoteka_index.model import IndexMismatchError, ModelIdentity

__all__ = ["CollectionPlan", "ensure", "exist", "plans", "require_server"]

_NEEDED: Final = (1, 16)
"""The first Qdrant with conditional upserts; an older one would overwrite manifests instead."""

_TENANT: Final = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
_KEYWORD: Final = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
_UUID: Final = models.UuidIndexParams(type=models.UuidIndexType.UUID)
_INTEGER: Final = models.IntegerIndexParams(
    type=models.IntegerIndexType.INTEGER, lookup=True, range=True
)
_CHUNK_INDEXES: Final[Mapping[str, models.PayloadSchemaParams]] = {
    CABINET: _TENANT,
    "document_id": _UUID,
    "version": _INTEGER,
    "epoch": _INTEGER,
    "facets": _KEYWORD,
    "external_id": _KEYWORD,
}
_DOCUMENT_INDEXES: Final[Mapping[str, models.PayloadSchemaParams]] = {
    CABINET: _TENANT,
    "fence": _INTEGER,
    "epoch": _INTEGER,
    "outcome": _KEYWORD,
    RUN_STEP: _KEYWORD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionPlan:
    """A collection as it must be."""

    name: str
    model: str
    size: int
    distance: models.Distance
    hnsw: models.HnswConfigDiff
    indexes: Mapping[str, models.PayloadSchemaParams]


def plans(prefix: str, model: ModelIdentity) -> tuple[CollectionPlan, CollectionPlan]:
    """Return the chunk collection and the document collection of a model."""
    return (
        CollectionPlan(
            name=model.chunk_collection(prefix),
            model=model.name,
            size=model.dimension,
            distance=models.Distance.COSINE,
            # Every search is within a cabinet: a graph for each, none over all.
            hnsw=models.HnswConfigDiff(m=0, payload_m=16),
            indexes=_CHUNK_INDEXES,
        ),
        CollectionPlan(
            name=model.document_collection(prefix),
            model=model.name,
            size=1,
            distance=models.Distance.DOT,
            hnsw=models.HnswConfigDiff(m=0),
            indexes=_DOCUMENT_INDEXES,
        ),
    )


async def require_server(client: AsyncQdrantClient) -> None:
    """Check that the server knows the calls that the fence stands on.

    Raises:
        KartotekaError: ``index_too_old``.
    """
    version = (await attempt("info", client.info)).version
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdecimal())
    if numbers < _NEEDED:
        raise KartotekaError("index_too_old", f"Qdrant is {version}; 1.16 or later is needed")


async def ensure(client: AsyncQdrantClient, plan: CollectionPlan, settings: QdrantSettings) -> None:
    """Create a collection and its payload indexes where they are missing.

    Raises:
        IndexMismatchError: a collection of this name is there, for something else.
    """
    if not await attempt("exists", lambda: client.collection_exists(plan.name)):
        await _create(client, plan, settings)
    info = await attempt("describe", lambda: client.get_collection(plan.name))
    _check(plan, info)
    for field in plan.indexes.keys() - (info.payload_schema or {}).keys():
        await _index(client, plan, field)


async def _create(
    client: AsyncQdrantClient, plan: CollectionPlan, settings: QdrantSettings
) -> None:
    try:
        await attempt(
            "create",
            lambda: client.create_collection(
                plan.name,
                vectors_config=models.VectorParams(size=plan.size, distance=plan.distance),
                hnsw_config=plan.hnsw,
                shard_number=settings.shards,
                replication_factor=settings.replication_factor,
                write_consistency_factor=settings.write_consistency_factor,
                metadata={"kartoteka_model": plan.model},
            ),
        )
    except KartotekaError:
        # Several processes start at once; the check that follows judges what the first one made.
        if not await attempt("exists", lambda: client.collection_exists(plan.name)):
            raise


async def _index(client: AsyncQdrantClient, plan: CollectionPlan, field: str) -> None:
    await attempt(
        "create payload index",
        lambda: client.create_payload_index(
            plan.name, field, field_schema=plan.indexes[field], wait=True
        ),
    )


def _check(plan: CollectionPlan, info: models.CollectionInfo) -> None:
    vectors: Any = info.config.params.vectors
    if not isinstance(vectors, models.VectorParams):
        raise IndexMismatchError(f"{plan.name} has named vectors, so it is no Kartoteka collection")
    if (vectors.size, vectors.distance) != (plan.size, plan.distance):
        raise IndexMismatchError(
            f"{plan.name} holds vectors of {vectors.size} numbers by {vectors.distance.value}, "
            f"and {plan.model} makes {plan.size} by {plan.distance.value}"
        )
    model = (info.config.metadata or {}).get("kartoteka_model")
    if model != plan.model:
        raise IndexMismatchError(f"{plan.name} was made for {model!r}, not for {plan.model!r}")


async def exist(client: AsyncQdrantClient, *names: str) -> bool:
    """Whether all collections are there."""
    found = await asyncio.gather(
        *(attempt("ping", partial(client.collection_exists, name)) for name in names)
    )
    return all(found)
