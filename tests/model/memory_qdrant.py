"""Qdrant in a few dictionaries: as much of the client as the index uses, and its meaning.

The index's own code runs above it, so that the filters which are the fence are the real ones. It
is held to the same suite as the real engine (``test_memory_qdrant``), and is a hundred times
faster than the client's own in-memory mode.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from qdrant_client import models
from qdrant_client.http.models import QueryResponse

__all__ = ["MemoryCollections", "MemoryQdrant", "at_once", "matches"]

T = TypeVar("T")

_NUMBER: Final = (int, float)


class Passing(Protocol):
    """Lets a request through, or not."""

    def __call__(self, label: str, effect: Callable[[], T]) -> Awaitable[T]: ...


async def at_once(label: str, effect: Callable[[], T]) -> T:
    """Serve a request without waiting."""
    del label
    return effect()


class Point:
    """A stored point. Payloads are replaced, never changed in place."""

    __slots__ = ("payload", "vector")

    def __init__(self, payload: dict[str, Any], vector: Any) -> None:
        self.payload = payload
        self.vector = vector


class MemoryCollections:
    """What the server keeps.

    ``changed`` is called with the collection's name after every write.
    """

    def __init__(self) -> None:
        self.points: dict[str, dict[str, Point]] = {}
        self.infos: dict[str, Any] = {}
        self.changed: Callable[[str], None] = lambda _collection: None

    def found(self, collection: str, wanted: models.Filter | None) -> list[str]:
        """Return the ids of matching points, sorted."""
        points = self.points[collection]
        return sorted(id_ for id_, point in points.items() if matches(wanted, id_, point.payload))


class MemoryQdrant:
    """The client."""

    def __init__(self, server: MemoryCollections, passing: Passing = at_once) -> None:
        self._server = server
        self._pass = passing

    async def upsert(
        self,
        collection: str,
        points: Sequence[models.PointStruct],
        *,
        update_filter: models.Filter | None = None,
        **_: Any,
    ) -> None:
        def effect() -> None:
            kept = self._server.points[collection]
            for point in points:
                id_ = str(point.id)
                old = kept.get(id_)
                if old is None or matches(update_filter, id_, old.payload):
                    kept[id_] = Point(dict(point.payload or {}), point.vector)
            self._server.changed(collection)

        await self._pass("upsert", effect)

    async def set_payload(
        self, collection: str, payload: Mapping[str, Any], *, points: models.Filter, **_: Any
    ) -> None:
        def effect() -> None:
            kept = self._server.points[collection]
            for id_ in self._server.found(collection, points):
                kept[id_].payload = _without_nulls({**kept[id_].payload, **payload})
            self._server.changed(collection)

        await self._pass("set_payload", effect)

    async def delete(self, collection: str, selector: models.FilterSelector, **_: Any) -> None:
        def effect() -> None:
            for id_ in self._server.found(collection, selector.filter):
                del self._server.points[collection][id_]
            self._server.changed(collection)

        await self._pass("delete", effect)

    async def count(self, collection: str, *, count_filter: Any, **_: Any) -> models.CountResult:
        return await self._pass(
            "count",
            lambda: models.CountResult(count=len(self._server.found(collection, count_filter))),
        )

    async def retrieve(self, collection: str, ids: Sequence[Any], **_: Any) -> list[models.Record]:
        def effect() -> list[models.Record]:
            kept = self._server.points[collection]
            return [_record(str(id_), kept[str(id_)]) for id_ in ids if str(id_) in kept]

        return await self._pass("retrieve", effect)

    async def scroll(
        self,
        collection: str,
        *,
        scroll_filter: models.Filter | None = None,
        limit: int = 10,
        offset: Any = None,
        **_: Any,
    ) -> tuple[list[models.Record], str | None]:
        def effect() -> tuple[list[models.Record], str | None]:
            ids = self._server.found(collection, scroll_filter)
            ids = [id_ for id_ in ids if offset is None or id_ >= str(offset)]
            kept = self._server.points[collection]
            following = ids[limit] if len(ids) > limit else None
            return [_record(id_, kept[id_]) for id_ in ids[:limit]], following

        return await self._pass("scroll", effect)

    async def query_points(
        self,
        collection: str,
        *,
        query: Sequence[float],
        query_filter: models.Filter,
        limit: int,
        score_threshold: float | None = None,
        **_: Any,
    ) -> QueryResponse:
        def effect() -> QueryResponse:
            kept = self._server.points[collection]
            asked = np.asarray(query, dtype=np.float64)
            scored = [
                (_cosine(asked, kept[id_].vector), id_)
                for id_ in self._server.found(collection, query_filter)
            ]
            scored.sort(key=lambda one: (-one[0], one[1]))
            near = [
                models.ScoredPoint(id=id_, version=0, score=score, payload=kept[id_].payload)
                for score, id_ in scored
                if score_threshold is None or score >= score_threshold
            ]
            return QueryResponse(points=near[:limit])

        return await self._pass("query_points", effect)

    # --- collections ----------------------------------------------------------------------------

    async def info(self) -> models.VersionInfo:
        return models.VersionInfo(title="memory", version="1.16.0", commit=None)

    async def collection_exists(self, name: str) -> bool:
        return await self._pass("collection_exists", lambda: name in self._server.points)

    async def create_collection(
        self,
        name: str,
        *,
        vectors_config: models.VectorParams,
        metadata: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        self._server.points[name] = {}
        self._server.infos[name] = SimpleNamespace(
            config=SimpleNamespace(
                params=SimpleNamespace(vectors=vectors_config), metadata=dict(metadata or {})
            ),
            payload_schema={},
        )

    async def get_collection(self, name: str) -> Any:
        return self._server.infos[name]

    async def create_payload_index(self, name: str, field: str, **_: Any) -> None:
        self._server.infos[name].payload_schema[field] = None

    async def close(self) -> None:
        """Keep everything: the server does not end with a client."""


def matches(wanted: models.Filter | None, id_: str, payload: Mapping[str, Any]) -> bool:
    """Whether a point passes a filter.

    Raises:
        NotImplementedError: the filter says something that the index has never said.
    """
    if wanted is None:
        return True
    if wanted.min_should is not None:
        raise NotImplementedError("min_should")
    should = _listed(wanted.should)
    return (
        all(_holds(one, id_, payload) for one in _listed(wanted.must))
        and not any(_holds(one, id_, payload) for one in _listed(wanted.must_not))
        and (not should or any(_holds(one, id_, payload) for one in should))
    )


def _listed(conditions: Any) -> Sequence[Any]:
    if conditions is None:
        return ()
    return conditions if isinstance(conditions, list) else [conditions]


def _holds(condition: Any, id_: str, payload: Mapping[str, Any]) -> bool:
    match condition:
        case models.Filter():
            return matches(condition, id_, payload)
        case models.HasIdCondition():
            return id_ in {str(one) for one in condition.has_id}
        case models.IsEmptyCondition():
            return _values(payload, condition.is_empty.key) == []
        case models.FieldCondition():
            found = _values(payload, condition.key)
            return any(_fits(condition, value) for value in found)
        case _:
            raise NotImplementedError(type(condition).__name__)


def _fits(condition: models.FieldCondition, value: Any) -> bool:
    match condition.match:
        case None:
            pass
        case models.MatchValue(value=wanted):
            if type(value) is not type(wanted) or value != wanted:
                return False
        case models.MatchAny(any=wanted):
            if value not in wanted:
                return False
        case _:
            raise NotImplementedError(type(condition.match).__name__)
    bounds = condition.range
    if bounds is None:
        return True
    if not isinstance(bounds, models.Range):
        raise NotImplementedError(type(bounds).__name__)
    if isinstance(value, bool) or not isinstance(value, _NUMBER):
        return False
    number = float(value)  # as Qdrant compares
    return (
        (bounds.lt is None or number < bounds.lt)
        and (bounds.lte is None or number <= bounds.lte)
        and (bounds.gt is None or number > bounds.gt)
        and (bounds.gte is None or number >= bounds.gte)
    )


def _values(payload: Mapping[str, Any], key: str) -> list[Any]:
    found: Any = payload
    for part in key.split("."):
        if not isinstance(found, Mapping) or found.get(part) is None:
            return []
        found = found[part]
    return list(found) if isinstance(found, list) else [found]


def _without_nulls(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if value is not None}


def _record(id_: str, point: Point) -> models.Record:
    return models.Record(id=id_, payload=dict(point.payload), vector=point.vector)


def _cosine(asked: Any, vector: Any) -> float:
    stored = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(asked) * np.linalg.norm(stored))
    return float(asked @ stored) / length if length else 0.0
