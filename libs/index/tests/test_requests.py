"""What each request demands of Qdrant: durability and consistency do not show in its answers."""

import json
from typing import Any

import httpx
import pytest
from qdrant_client import AsyncQdrantClient, models

from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import new_task_id
from kartoteka_index import Index, Outcome, QdrantSettings, cabinet_filter
from kartoteka_testkit.index_cases import MODEL, Case, asking, cabinet

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")

_CHUNKS = MODEL.chunk_collection("kartoteka")
_DOCUMENTS = MODEL.document_collection("kartoteka")


class _RecordingQdrant(AsyncQdrantClient):
    """Notes the name, the collection and the keywords of every request."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.requests: list[tuple[str, str, dict[str, Any]]] = []

    async def upsert(self, collection_name: str, *args: Any, **kwargs: Any) -> Any:
        self.requests.append(("upsert", collection_name, kwargs))
        return await super().upsert(collection_name, *args, **kwargs)

    async def set_payload(self, collection_name: str, *args: Any, **kwargs: Any) -> Any:
        self.requests.append(("set_payload", collection_name, kwargs))
        return await super().set_payload(collection_name, *args, **kwargs)

    async def delete(self, collection_name: str, *args: Any, **kwargs: Any) -> Any:
        self.requests.append(("delete", collection_name, kwargs))
        return await super().delete(collection_name, *args, **kwargs)

    async def retrieve(self, collection_name: str, *args: Any, **kwargs: Any) -> Any:
        self.requests.append(("retrieve", collection_name, kwargs))
        return await super().retrieve(collection_name, *args, **kwargs)

    async def query_points(self, collection_name: str, *args: Any, **kwargs: Any) -> Any:
        self.requests.append(("query_points", collection_name, kwargs))
        return await super().query_points(collection_name, *args, **kwargs)

    def names(self) -> list[str]:
        return [name for name, _, _ in self.requests]


async def _opened() -> tuple[_RecordingQdrant, Index]:
    qdrant = _RecordingQdrant()
    index = Index(qdrant, QdrantSettings(url="http://memory"), MODEL)
    await index.ensure()
    return qdrant, index


async def test_every_write_waits_for_the_disk_and_manifests_for_the_leader() -> None:
    qdrant, index = await _opened()
    case = Case(index, cabinet())
    await case.publish(5)
    await index.decide(case.cabinet, case.decision(6, outcome=Outcome.FAILED))
    written = [each for each in qdrant.requests if each[0] != "retrieve"]
    ordering = {_CHUNKS: models.WriteOrdering.MEDIUM, _DOCUMENTS: models.WriteOrdering.STRONG}
    assert {collection for _, collection, _ in written} == ordering.keys()
    for name, collection, demands in written:
        assert demands["wait"] is True, name
        assert demands["ordering"] is ordering[collection], name


async def test_a_write_is_bounded_in_bytes_and_in_points() -> None:
    sizes: list[tuple[int, int]] = []

    def take(request: httpx.Request) -> httpx.Response:
        points = json.loads(request.content)["points"]
        sizes.append((len(points), len(request.content)))
        done = {"status": "ok", "result": {"operation_id": 1, "status": "completed"}, "time": 0}
        return httpx.Response(200, json=done)

    qdrant = AsyncQdrantClient(
        "http://memory", check_compatibility=False, transport=httpx.MockTransport(take)
    )
    limit = 256 * 1024
    settings = QdrantSettings(url="http://memory", upsert_batch=16, upsert_bytes=limit)
    case = Case(Index(qdrant, settings, MODEL), cabinet())
    wide = {f"key{n}": "\u00e9" * 200 for n in range(100)}
    await case.index.upsert(case.cabinet, case.chunks(1, count=20, metadata=wide))
    assert sum(points for points, _ in sizes) == 20
    assert len(sizes) > 2
    assert all(size < limit + 1024 for _, size in sizes)
    sizes.clear()
    await case.index.upsert(case.cabinet, case.chunks(1, count=20))
    assert [points for points, _ in sizes] == [16, 4]
    sizes.clear()
    await case.index.upsert(case.cabinet, case.chunks(1, count=2, metadata={"wide": "x" * limit}))
    assert [points for points, _ in sizes] == [1, 1]


async def test_a_decision_is_insert_conditional_set_and_a_majoritys_read() -> None:
    qdrant, index = await _opened()
    case = Case(index, cabinet())
    await index.decide(case.cabinet, case.decision(5))
    assert qdrant.names() == ["upsert", "set_payload", "retrieve"]
    insert, change, read = (demands for _, _, demands in qdrant.requests)
    assert insert["update_filter"] == cabinet_filter.NOTHING
    assert isinstance(change["points"], models.Filter)
    assert read["consistency"] is models.ReadConsistencyType.MAJORITY


async def test_a_search_reads_the_manifests_of_all_its_hits_in_one_request() -> None:
    qdrant, index = await _opened()
    for n in range(6):
        await Case(index, cabinet(), f"{n}.txt").publish(5)
    qdrant.requests.clear()
    assert len(await index.search(cabinet(), asking(top_k=18))) == 18
    assert qdrant.names() == ["query_points", "retrieve"]
    _, _, demands = qdrant.requests[0]
    assert demands["limit"] == 2 * 18 + 20


async def test_a_search_among_half_written_documents_goes_round_three_times_at_most() -> None:
    qdrant, index = await _opened()
    for n in range(100):
        await Case(index, cabinet(), f"{n}.txt").write(5)
    qdrant.requests.clear()
    assert await index.search(cabinet(), asking(top_k=1)) == []
    assert qdrant.names() == ["query_points", "retrieve"] * 3
    assert index.unpublished_hits == 3 * 22


@pytest.mark.parametrize("knows_nothing", [True, False])
async def test_a_replica_that_lags_behind_makes_no_decision_superseded(
    knows_nothing: bool,  # noqa: FBT001 - a case
) -> None:
    class _LaggingQdrant(AsyncQdrantClient):
        async def retrieve(self, *args: Any, **kwargs: Any) -> Any:
            found = await super().retrieve(*args, **kwargs)
            for record in found:
                record.payload = (record.payload or {}) | {"fence": 4, "task_id": new_task_id()}
            return [] if knows_nothing else found

    index = Index(_LaggingQdrant(":memory:"), QdrantSettings(url="http://memory"), MODEL)
    await index.ensure()
    case = Case(index, cabinet())
    with pytest.raises(UnavailableError) as caught:
        await index.decide(case.cabinet, case.decision(5))
    assert caught.value.code == "index_unavailable"
