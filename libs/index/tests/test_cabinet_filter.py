from collections.abc import Callable
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, models

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.ids import DocumentId, Epoch, PointId, Version
from kartoteka_index import Index, QdrantSettings
from kartoteka_index.cabinet_filter import (
    belongs,
    chunks_below,
    chunks_named,
    chunks_of,
    documents_of,
    searched,
    undecided,
)
from kartoteka_testkit.index_cases import MODEL, Case, asking, cabinet

_DOCUMENT = DocumentId("6f1d2f5c-3a0e-5c0b-9a57-4b6172746f74")
_WORK = (_DOCUMENT, Version(5), Epoch(0))
_BUILDERS: dict[str, Callable[[Any], models.Filter]] = {
    "chunks_of": lambda of: chunks_of(of, *_WORK),
    "chunks_below": lambda of: chunks_below(of, *_WORK),
    "chunks_named": lambda of: chunks_named(of, [PointId(_DOCUMENT)]),
    "undecided": lambda of: undecided(of, *_WORK),
    "documents_of": documents_of,
    "searched": lambda of: searched(of, asking(), without=[_WORK]),
}


@pytest.mark.parametrize("build", _BUILDERS.values(), ids=_BUILDERS.keys())
def test_every_filter_demands_the_granted_cabinet(
    build: Callable[[AuthorisedCabinet], models.Filter],
) -> None:
    own = models.FieldCondition(key="cabinet_id", match=models.MatchValue(value="7"))
    built = build(cabinet(7))
    assert isinstance(built.must, list)
    assert own in built.must


@pytest.mark.parametrize("build", _BUILDERS.values(), ids=_BUILDERS.keys())
@pytest.mark.parametrize("forged", [None, 7, "7"])
def test_no_filter_is_made_without_a_grant(
    build: Callable[[Any], models.Filter], forged: object
) -> None:
    with pytest.raises((TypeError, AttributeError)):
        build(forged)


def test_a_point_belongs_to_exactly_the_cabinet_that_it_names() -> None:
    assert belongs(cabinet(7), {"cabinet_id": "7"})
    for payload in (None, {}, {"cabinet_id": 7}, {"cabinet_id": "77"}, {"cabinet_id": "8"}):
        assert not belongs(cabinet(7), payload)


class _LeakyQdrant(AsyncQdrantClient):
    """A Qdrant that has lost its filters."""

    async def query_points(self, *args: Any, **kwargs: Any) -> models.QueryResponse:
        return await super().query_points(*args, **(kwargs | {"query_filter": None}))

    async def scroll(self, *args: Any, **kwargs: Any) -> Any:
        return await super().scroll(*args, **(kwargs | {"scroll_filter": None}))


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
async def test_foreign_points_are_dropped_and_counted_even_where_the_filter_fails() -> None:
    index = Index(_LeakyQdrant(":memory:"), QdrantSettings(url="http://memory"), MODEL)
    await index.ensure()
    mine, theirs = Case(index, cabinet(7)), Case(index, cabinet(8))
    await mine.publish(5)
    await theirs.publish(5)
    hits = await index.search(mine.cabinet, asking(top_k=50))
    assert {hit.document_id for hit in hits} == {mine.document_id}
    assert index.foreign_hits == 3
    page = await index.documents(mine.cabinet)
    assert [manifest.document_id for manifest in page.manifests] == [mine.document_id]
    assert index.foreign_hits == 4
    await index.close()
