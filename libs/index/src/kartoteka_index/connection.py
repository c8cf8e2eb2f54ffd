"""What every part of an index needs: the client, its two collections, and an eye on strays."""

from collections.abc import Iterable, Iterator
from typing import Any

from qdrant_client import AsyncQdrantClient, models

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_index import cabinet_filter, schema
from kartoteka_index.client import QdrantSettings
from kartoteka_index.model import ModelIdentity
from kartoteka_runtime.logs import get_logger

__all__ = ["Connection"]

_log = get_logger(__name__)


class Connection:
    """One model's two collections, as one client reaches them."""

    def __init__(
        self, client: AsyncQdrantClient, settings: QdrantSettings, model: ModelIdentity
    ) -> None:
        self._client = client
        self._settings = settings
        self._model = model
        self._plans = schema.plans(settings.collection, model)
        self._chunks, self._documents = (plan.name for plan in self._plans)
        self.foreign_hits = 0
        """Points that came back for another cabinet than asked, and were dropped: must stay 0."""

    def _own(
        self, cabinet: AuthorisedCabinet, found: Iterable[models.ScoredPoint | models.Record]
    ) -> Iterator[tuple[models.ExtendedPointId, dict[str, Any]]]:
        """Leave out points that the filter must have kept back; count and report them."""
        for point in found:
            if point.payload is not None and cabinet_filter.belongs(cabinet, point.payload):
                yield point.id, point.payload
                continue
            self.foreign_hits += 1
            _log.error("foreign_point_dropped", cabinet_id=cabinet.cabinet_id, point_id=point.id)
