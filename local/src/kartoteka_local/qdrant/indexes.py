"""Payload indexes of the REST interface as the engine's."""

from collections.abc import Callable
from typing import Final

import qdrant_edge as edge
from qdrant_client import models

from kartoteka_local.qdrant.answers import allow_only
from kartoteka_local.qdrant.refusal import Refusal

__all__ = ["IndexParams", "index_info", "index_params"]

IndexParams = (
    edge.KeywordIndexParams
    | edge.IntegerIndexParams
    | edge.FloatIndexParams
    | edge.BoolIndexParams
    | edge.DatetimeIndexParams
    | edge.UuidIndexParams
)

_PLAIN: Final[dict[models.PayloadSchemaType, Callable[[], IndexParams]]] = {
    models.PayloadSchemaType.KEYWORD: edge.KeywordIndexParams,
    models.PayloadSchemaType.INTEGER: edge.IntegerIndexParams,
    models.PayloadSchemaType.FLOAT: edge.FloatIndexParams,
    models.PayloadSchemaType.BOOL: edge.BoolIndexParams,
    models.PayloadSchemaType.DATETIME: edge.DatetimeIndexParams,
    models.PayloadSchemaType.UUID: edge.UuidIndexParams,
}


def index_params(schema: models.PayloadFieldSchema) -> IndexParams:
    """Return the engine's parameters; where data lies (disk or memory) is the engine's own choice.

    Raises:
        Refusal: 501 for an index that is not known here.
    """
    if isinstance(schema, models.PayloadSchemaType):
        made = _PLAIN.get(schema)
        if made is None:
            raise Refusal.unknown(f"the payload index {schema.value}")
        return made()
    place = ("type", "on_disk", "enable_hnsw", "memory")
    match schema:
        case models.KeywordIndexParams():
            allow_only(schema, *place, "is_tenant", "prefix")
            return edge.KeywordIndexParams(is_tenant=schema.is_tenant, prefix=schema.prefix)
        case models.UuidIndexParams():
            allow_only(schema, *place, "is_tenant")
            return edge.UuidIndexParams(is_tenant=schema.is_tenant)
        case models.IntegerIndexParams():
            allow_only(schema, *place, "lookup", "range", "is_principal")
            return edge.IntegerIndexParams(
                lookup=schema.lookup, range=schema.range, is_principal=schema.is_principal
            )
        case models.FloatIndexParams() | models.DatetimeIndexParams() | models.BoolIndexParams():
            allow_only(schema, *place)
            return _PLAIN[models.PayloadSchemaType(schema.type.value)]()
        case _:
            raise Refusal.unknown(f"the payload index {type(schema).__name__}")


def index_info(schema: models.PayloadFieldSchema, points: int) -> models.PayloadIndexInfo:
    """Return how a collection's description shows an index."""
    if isinstance(schema, models.PayloadSchemaType):
        return models.PayloadIndexInfo(data_type=schema, points=points)
    kind = models.PayloadSchemaType(schema.type.value)
    return models.PayloadIndexInfo(data_type=kind, params=schema, points=points)
