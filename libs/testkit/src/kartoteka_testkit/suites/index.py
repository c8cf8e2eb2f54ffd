"""What holds of an index whatever Qdrant is behind it. Subclasses provide the ``index``."""

import asyncio
import random
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import MAX_EXACT_INTEGER, DocumentId, Epoch, Version, new_task_id
from kartoteka_contracts.tasks import DocumentState
from kartoteka_index import Index, IndexMismatchError, ModelIdentity, Outcome
from kartoteka_testkit.index_cases import MODEL, Case, asking, cabinet

__all__ = ["ChunkSuite", "ConcurrentSuite", "FenceSuite", "IndexSuite", "SearchSuite"]

_MAX = MAX_EXACT_INTEGER
_NOW_US = 1_795_000_000_000_000


class FenceSuite:
    """Every decision is one conditional write: the higher (version, epoch) wins."""

    async def test_a_document_without_a_decision_has_no_manifest(self, index: Index) -> None:
        case = Case(index, cabinet())
        assert await index.manifest(case.cabinet, case.document_id) is None

    async def test_a_decision_is_read_back_as_written(self, index: Index) -> None:
        case = Case(index, cabinet())
        decision = case.decision(5)
        found = await index.decide(case.cabinet, decision)
        assert found is not None
        assert found == await index.manifest(case.cabinet, case.document_id)
        assert (found.cabinet_id, found.external_id, found.task_id) == (
            7,
            "a.txt",
            decision.task_id,
        )
        assert found.published == decision.published
        assert found.decided_at == decision.decided_at
        assert found.state is DocumentState.INDEXED

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ((5, 0), (4, 0)),
            ((5, 0), (4, 9)),
            ((5, 2), (5, 1)),
            ((_NOW_US + 1, 0), (_NOW_US, 0)),
            ((_NOW_US, 1), (_NOW_US, 0)),
            ((_MAX, 0), (_MAX - 1, _MAX)),
            ((_MAX, _MAX), (_MAX, _MAX - 1)),
        ],
    )
    async def test_the_lower_work_loses_in_either_order(
        self, index: Index, first: tuple[int, int], second: tuple[int, int]
    ) -> None:
        higher, lower = first, second
        late = Case(index, cabinet(), "late.txt")
        assert await index.decide(late.cabinet, late.decision(*higher)) is not None
        assert await index.decide(late.cabinet, late.decision(*lower)) is None
        assert (await late.stands())[:2] == higher
        early = Case(index, cabinet(), "early.txt")
        assert await index.decide(early.cabinet, early.decision(*lower)) is not None
        assert await index.decide(early.cabinet, early.decision(*higher)) is not None
        assert (await early.stands())[:2] == higher

    async def test_the_same_work_redelivered_finds_its_own_decision(self, index: Index) -> None:
        case = Case(index, cabinet())
        task = new_task_id()
        first = await index.decide(case.cabinet, case.decision(5, task_id=task))
        again = await index.decide(
            case.cabinet, case.decision(5, task_id=task, outcome=Outcome.FAILED)
        )
        assert again == first
        assert again is not None
        assert again.outcome is Outcome.PUBLISHED

    async def test_of_two_tasks_with_one_version_the_first_wins(self, index: Index) -> None:
        case = Case(index, cabinet())
        assert await index.decide(case.cabinet, case.decision(5)) is not None
        assert await index.decide(case.cabinet, case.decision(5)) is None

    @pytest.mark.parametrize("outcome", [Outcome.UNCHANGED, Outcome.FAILED, Outcome.CANCELLED])
    async def test_outcomes_that_keep_leave_the_older_version_searchable(
        self, index: Index, outcome: Outcome
    ) -> None:
        case = Case(index, cabinet())
        await case.publish(5)
        assert await index.decide(case.cabinet, case.decision(6, outcome=outcome)) is not None
        assert await case.stands() == (6, 0, outcome, (5, 0))
        assert [hit.version for hit in await index.search(case.cabinet, asking())] == [5, 5, 5]

    @pytest.mark.parametrize("outcome", [Outcome.EMPTY, Outcome.DELETED])
    async def test_outcomes_that_remove_leave_nothing_to_find(
        self, index: Index, outcome: Outcome
    ) -> None:
        case = Case(index, cabinet())
        await case.publish(5)
        assert await index.decide(case.cabinet, case.decision(6, outcome=outcome)) is not None
        assert await case.stands() == (6, 0, outcome, None)
        assert await index.search(case.cabinet, asking()) == []

    async def test_a_delete_is_not_undone_by_older_work(self, index: Index) -> None:
        case = Case(index, cabinet())
        await index.decide(case.cabinet, case.decision(6, outcome=Outcome.DELETED))
        assert await case.publish(5) is False
        assert await case.stands() == (6, 0, Outcome.DELETED, None)
        assert await index.search(case.cabinet, asking()) == []

    async def test_a_failure_is_kept_with_its_error_until_the_next_decision(
        self, index: Index
    ) -> None:
        case = Case(index, cabinet())
        failed = await index.decide(case.cabinet, case.decision(5, outcome=Outcome.FAILED))
        assert failed is not None
        assert failed.error is not None
        assert failed.error.code == "malformed"
        healed = await index.decide(case.cabinet, case.decision(6))
        assert healed is not None
        assert healed.error is None

    async def test_many_writers_at_once_leave_the_highest_work_standing(self, index: Index) -> None:
        case = Case(index, cabinet())
        works = [(_NOW_US + version, epoch) for version in range(6) for epoch in range(3)]
        random.Random(4).shuffle(works)
        found = await asyncio.gather(
            *(index.decide(case.cabinet, case.decision(*work)) for work in works)
        )
        assert (await case.stands())[:2] == max(works)
        assert found[works.index(max(works))] is not None


class ChunkSuite:
    """Chunks are written once, counted exactly and swept by (version, epoch)."""

    async def test_writing_the_same_chunks_again_changes_nothing(self, index: Index) -> None:
        case = Case(index, cabinet())
        for _ in range(3):
            await case.write(5)
        assert await case.count(5) == 3

    async def test_more_chunks_than_one_batch_are_all_written(self, index: Index) -> None:
        case = Case(index, cabinet())
        await case.write(5, count=300)
        assert await case.count(5) == 300

    async def test_no_chunks_are_no_request_and_no_error(self, index: Index) -> None:
        await index.upsert(cabinet(), [])

    @pytest.mark.parametrize(
        "vector", [np.zeros(3, dtype=np.float32), np.full(8, np.nan, dtype=np.float32)]
    )
    async def test_a_vector_of_another_model_is_refused(
        self, index: Index, vector: np.ndarray[Any, np.dtype[np.float32]]
    ) -> None:
        case = Case(index, cabinet())
        (chunk,) = case.chunks(5, count=1)
        object.__setattr__(chunk, "vector", vector)
        with pytest.raises(ValueError, match="chunk 0"):
            await index.upsert(case.cabinet, [chunk])

    async def test_a_sweep_takes_what_is_strictly_below(self, index: Index) -> None:
        case = Case(index, cabinet())
        base = _NOW_US
        works = [(base - 1, 0), (base - 1, 7), (base, 0), (base, 6), (base, 7), (base + 1, 0)]
        for work in works:
            await case.write(*work, count=1)
        await index.sweep(case.cabinet, case.document_id, Version(base), Epoch(7))
        left = [work for work in works if await case.count(*work)]
        assert left == [(base, 7), (base + 1, 0)]

    async def test_a_discard_takes_exactly_one_work(self, index: Index) -> None:
        case = Case(index, cabinet())
        for work in ((5, 0), (5, 1), (6, 0)):
            await case.write(*work)
        await index.discard(case.cabinet, case.document_id, Version(5), Epoch(1))
        assert [await case.count(*work) for work in ((5, 0), (5, 1), (6, 0))] == [3, 0, 3]

    async def test_a_trim_takes_what_lies_behind_and_leaves_the_rest(self, index: Index) -> None:
        case = Case(index, cabinet())
        for work in ((5, 0), (5, 1)):
            await case.write(*work, count=5)
        await index.trim(case.cabinet, case.document_id, Version(5), Epoch(0), chunks=2, stored=5)
        assert [await case.count(*work) for work in ((5, 0), (5, 1))] == [2, 5]
        await index.decide(case.cabinet, case.decision(5))
        hits = await index.search(case.cabinet, asking())
        assert {hit.start for hit in hits} == {0, 10}

    async def test_sweeps_and_discards_stay_within_document_and_cabinet(self, index: Index) -> None:
        case = Case(index, cabinet(7))
        other = Case(index, cabinet(7), "b.txt")
        await case.write(5)
        await other.write(5)
        foreign = cabinet(8)
        await index.sweep(foreign, case.document_id, Version(9), Epoch(0))
        await index.discard(foreign, case.document_id, Version(5), Epoch(0))
        await index.sweep(case.cabinet, case.document_id, Version(9), Epoch(0))
        assert await case.count(5) == 0
        assert await other.count(5) == 3


class SearchSuite:
    """A search finds what is published, of one cabinet, and nothing else."""

    async def test_hits_come_nearest_first_with_all_their_fields(self, index: Index) -> None:
        case = Case(index, cabinet())
        await case.publish(5, metadata={"lang": "de", "tags": ["x", "y"]})
        first, *others = await index.search(case.cabinet, asking(1))
        assert first.text == "a.txt 5.0 #1"
        assert first.score == pytest.approx(1.0, abs=1e-5)
        assert (first.document_id, first.external_id, first.filename) == (
            case.document_id,
            "a.txt",
            "a.txt",
        )
        assert (first.version, first.page, first.start, first.end) == (5, 1, 10, 19)
        assert first.metadata == {"lang": "de", "tags": ["x", "y"]}
        assert len(others) == 2

    async def test_unpublished_chunks_are_not_found(self, index: Index) -> None:
        case = Case(index, cabinet())
        await case.write(5)
        assert await index.search(case.cabinet, asking()) == []

    async def test_a_zombies_late_chunks_are_not_found(self, index: Index) -> None:
        case = Case(index, cabinet())
        await case.publish(6, tilt=0.5)
        await case.write(5, count=6)
        assert {hit.version for hit in await index.search(case.cabinet, asking())} == {6}
        assert await index.decide(case.cabinet, case.decision(5)) is None
        assert (await case.stands())[3] == (6, 0)

    async def test_a_large_half_written_version_does_not_hide_the_published_one(
        self, index: Index
    ) -> None:
        case = Case(index, cabinet())
        await case.publish(5, tilt=0.5)
        await case.write(6, count=300)
        hits = await index.search(case.cabinet, asking(top_k=3))
        assert [hit.version for hit in hits] == [5, 5, 5]

    async def test_no_answer_crosses_cabinets(self, index: Index) -> None:
        mine, theirs = Case(index, cabinet(7)), Case(index, cabinet(8))
        await mine.publish(5, tilt=0.5)
        await theirs.publish(5)
        for each in (mine, theirs):
            hits = await index.search(each.cabinet, asking(top_k=50))
            assert {hit.document_id for hit in hits} == {each.document_id}
        crossed = asking(document_ids=(theirs.document_id,))
        assert await index.search(mine.cabinet, crossed) == []
        assert await index.manifest(mine.cabinet, theirs.document_id) is None
        assert (await index.documents(cabinet(9))).manifests == ()
        assert index.foreign_hits == 0

    async def test_a_cabinet_cannot_decide_about_anothers_document(self, index: Index) -> None:
        theirs = Case(index, cabinet(8))
        await theirs.publish(5)
        assert await index.decide(cabinet(7), theirs.decision(9, outcome=Outcome.DELETED)) is None
        assert (await theirs.stands())[0] == 5

    async def test_cabinets_whose_numbers_begin_alike_are_apart(self, index: Index) -> None:
        one, eleven = Case(index, cabinet(1)), Case(index, cabinet(11))
        await one.publish(5)
        await eleven.publish(5)
        hits = await index.search(one.cabinet, asking(top_k=50))
        assert {hit.document_id for hit in hits} == {one.document_id}

    @pytest.mark.parametrize(
        ("wanted", "names"),
        [
            ({"metadata": {"lang": "de"}}, {"a.txt"}),
            ({"metadata": {"lang": ["de", "fr"]}}, {"a.txt", "b.txt"}),
            ({"metadata": {"final": True}}, {"a.txt"}),
            ({"metadata": {"final": False}}, {"b.txt"}),
            ({"metadata": {"final": 1}}, set()),
            ({"metadata": {"year": 2024.0}}, {"a.txt"}),
            ({"metadata": {"year": "2024"}}, set()),
            ({"metadata": {"tags": "y"}}, {"a.txt", "b.txt"}),
            ({"metadata": {"tags": "y", "lang": "fr"}}, {"b.txt"}),
            ({"metadata": {"note": None}}, {"b.txt"}),
            ({"external_ids": ("b.txt",)}, {"b.txt"}),
            ({"external_ids": ("a.txt", "b.txt")}, {"a.txt", "b.txt"}),
            ({"score_threshold": 0.9}, {"a.txt", "b.txt"}),
            ({"score_threshold": 1.5}, set()),
        ],
    )
    async def test_filters_match_by_equality_and_any_of(
        self, index: Index, wanted: dict[str, Any], names: set[str]
    ) -> None:
        first = Case(index, cabinet(), "a.txt")
        second = Case(index, cabinet(), "b.txt")
        await first.publish(
            5, metadata={"lang": "de", "final": True, "year": 2024, "tags": ["x", "y"]}
        )
        await second.publish(
            5, metadata={"lang": "fr", "final": False, "year": 2025, "tags": "y", "note": None}
        )
        hits = await index.search(cabinet(), asking(top_k=50, **wanted))
        assert {hit.external_id for hit in hits} == names

    async def test_at_most_top_k_hits_come_back(self, index: Index) -> None:
        case = Case(index, cabinet())
        await case.publish(5, count=40)
        assert len(await index.search(case.cabinet, asking(top_k=4))) == 4


class ConcurrentSuite:
    """What only a Qdrant shows whose requests wait: in memory, none ever lets another one in."""

    async def test_a_search_beside_a_publisher_sees_old_or_new_and_never_a_mix(
        self, index: Index
    ) -> None:
        case = Case(index, cabinet())
        await case.publish(1)

        async def publish() -> None:
            for version in range(2, 12):
                await case.publish(version)

        publishing = asyncio.create_task(publish())
        newest = 1
        while not publishing.done():
            hits = await index.search(case.cabinet, asking())
            (version,) = {hit.version for hit in hits}
            assert len(hits) == 3
            assert version >= newest
            newest = version
        await publishing
        assert {hit.version for hit in await index.search(case.cabinet, asking())} == {11}


class IndexSuite(FenceSuite, ChunkSuite, SearchSuite):
    """All of it, and the pages of documents."""

    async def test_ensuring_again_changes_nothing(self, index: Index) -> None:
        case = Case(index, cabinet())
        await case.publish(5)
        await index.ensure()
        await index.ping()
        assert await case.count(5) == 3

    async def test_a_collection_of_another_model_is_refused(self, index: Index) -> None:
        impostor = ModelIdentity(name="test axes", dimension=MODEL.dimension)
        assert impostor.chunk_collection("x") == MODEL.chunk_collection("x")
        with pytest.raises(IndexMismatchError, match="made for 'test/axes'"):
            await Index(index._client, index._settings, impostor).ensure()  # noqa: SLF001 - the same server under another model

    async def test_a_collection_of_another_dimension_is_refused(self, index: Index) -> None:
        other = ModelIdentity(name="test/other", dimension=4)
        prefix = index._settings.collection  # noqa: SLF001 - the same server under another model
        await index._client.create_collection(  # noqa: SLF001 - made by somebody else
            other.chunk_collection(prefix),
            vectors_config=models.VectorParams(size=5, distance=models.Distance.COSINE),
        )
        with pytest.raises(IndexMismatchError, match="vectors of 5 numbers"):
            await Index(index._client, index._settings, other).ensure()  # noqa: SLF001 - as above

    async def test_documents_come_in_pages_that_miss_and_repeat_none(self, index: Index) -> None:
        cases = [Case(index, cabinet(), f"{n}.txt") for n in range(7)]
        for each in cases:
            await index.decide(each.cabinet, each.decision(5))
        found: list[DocumentId] = []
        cursor = None
        while True:
            page = await index.documents(cabinet(), cursor=cursor, limit=3)
            assert len(page.manifests) <= 3
            found += [manifest.document_id for manifest in page.manifests]
            cursor = page.cursor
            if cursor is None:
                break
        assert sorted(found) == sorted(each.document_id for each in cases)

    async def test_documents_are_listed_by_the_state_that_their_manifest_shows(
        self, index: Index
    ) -> None:
        for outcome in Outcome:
            case = Case(index, cabinet(), f"{outcome}.txt")
            await index.decide(case.cabinet, case.decision(5, outcome=outcome))
        kept = Case(index, cabinet(), "kept.txt")
        await index.decide(kept.cabinet, kept.decision(5))
        await index.decide(kept.cabinet, kept.decision(6, outcome=Outcome.CANCELLED))
        everything = (await index.documents(cabinet())).manifests
        assert len(everything) == len(Outcome) + 1
        for state in DocumentState:
            page = await index.documents(cabinet(), state=state)
            expected = {each.external_id for each in everything if each.state is state}
            assert expected
            assert {each.external_id for each in page.manifests} == expected

    async def test_a_cursor_that_was_never_given_is_refused(self, index: Index) -> None:
        with pytest.raises(RequestError) as refused:
            await index.documents(cabinet(), cursor="../etc")
        assert refused.value.code == "invalid_request"
