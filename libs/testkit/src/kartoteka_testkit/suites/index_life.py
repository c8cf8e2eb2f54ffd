"""What holds of starts, copies, deletes and withdrawals, whatever Qdrant is behind the index."""

from dataclasses import replace

import pytest

from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import MAX_EXACT_INTEGER, Epoch, Version, new_task_id
from kartoteka_index import Index, Manifest, Outcome, Starts
from kartoteka_testkit.index_cases import Case, asking, cabinet

__all__ = ["CopySuite", "ErasureSuite", "IndexLifeSuite", "StartsSuite", "WithdrawalSuite"]

_NOW_US = 1_795_000_000_000_000


async def _begin(case: Case, version: int, epoch: int = 0) -> Starts:
    """Begin as a try does: read what stands, then count."""
    return await case.index.begin(
        case.cabinet,
        case.document_id,
        case.name,
        (Version(version), Epoch(epoch)),
        seen=await _standing(case),
    )


async def _standing(case: Case) -> Manifest | None:
    return await case.index.manifest(case.cabinet, case.document_id)


async def _counted(case: Case) -> Starts | None:
    found = await _standing(case)
    assert found is not None
    return found.starts


class StartsSuite:
    """Tries are counted durably, for the highest work only, and cleared by a decision."""

    async def test_starts_are_counted_and_read_back(self, index: Index) -> None:
        case = Case(index, cabinet())
        for begun in (1, 2, 3):
            expected = Starts(version=Version(_NOW_US), epoch=Epoch(7), begun=begun)
            assert await _begin(case, _NOW_US, 7) == expected
            assert await _counted(case) == expected

    async def test_a_document_that_is_only_begun_is_neither_listed_nor_found(
        self, index: Index
    ) -> None:
        case = Case(index, cabinet())
        await _begin(case, 5)
        await case.write(5)
        assert (await index.documents(case.cabinet)).manifests == ()
        assert await index.search(case.cabinet, asking()) == []

    async def test_a_start_beside_a_published_version_leaves_it_as_it_is(
        self, index: Index
    ) -> None:
        case = Case(index, cabinet())
        await case.publish(5)
        await _begin(case, 6)
        assert await case.stands() == (5, 0, Outcome.PUBLISHED, (5, 0))
        assert len(await index.search(case.cabinet, asking())) == 3

    async def test_a_start_taken_back_is_not_counted(self, index: Index) -> None:
        case = Case(index, cabinet())
        await _begin(case, 5)
        second = await _begin(case, 5)
        await index.lower(case.cabinet, case.document_id, second)
        assert await _counted(case) == replace(second, begun=1)

    async def test_a_start_that_others_followed_is_not_taken_back(self, index: Index) -> None:
        case = Case(index, cabinet())
        first = await _begin(case, 5)
        second = await _begin(case, 5)
        await index.lower(case.cabinet, case.document_id, first)
        assert await _counted(case) == second
        later = await _begin(case, 6)
        await index.lower(case.cabinet, case.document_id, second)
        assert await _counted(case) == later

    async def test_kills_are_counted_beside_the_starts(self, index: Index) -> None:
        case = Case(index, cabinet())
        starts = await index.count_kill(case.cabinet, case.document_id, await _begin(case, 5))
        assert (starts.begun, starts.killed) == (1, 1)
        again = await index.count_kill(case.cabinet, case.document_id, await _begin(case, 5))
        assert (again.begun, again.killed) == (2, 2)
        assert await _counted(case) == again

    @pytest.mark.parametrize(
        ("higher", "lower"), [((6, 0), (5, 9)), ((5, 1), (5, 0)), ((_NOW_US + 1, 0), (_NOW_US, 0))]
    )
    async def test_lower_work_takes_no_starts_from_higher_work(
        self, index: Index, higher: tuple[int, int], lower: tuple[int, int]
    ) -> None:
        case = Case(index, cabinet())
        starts = await _begin(case, *higher)
        await index.count_kill(case.cabinet, case.document_id, await _begin(case, *lower))
        assert await _counted(case) == starts

    async def test_higher_work_begins_anew(self, index: Index) -> None:
        case = Case(index, cabinet())
        await index.count_kill(case.cabinet, case.document_id, await _begin(case, 5))
        assert await _begin(case, 6) == Starts(version=Version(6), epoch=Epoch(0), begun=1)

    @pytest.mark.parametrize("outcome", list(Outcome))
    async def test_every_decision_clears_the_starts(self, index: Index, outcome: Outcome) -> None:
        case = Case(index, cabinet())
        starts = await _begin(case, 5)
        await index.decide(case.cabinet, case.decision(5, outcome=outcome), is_open=True)
        assert await _counted(case) is None
        await index.lower(case.cabinet, case.document_id, starts)
        await index.count_kill(case.cabinet, case.document_id, starts)
        assert await _counted(case) is None

    async def test_a_cabinet_cannot_count_about_anothers_document(self, index: Index) -> None:
        case = Case(index, cabinet(8))
        starts = await _begin(case, 5)
        work = (Version(5), Epoch(0))
        seen = await _standing(case)
        for seen_by_them in (seen, None):
            await index.begin(cabinet(7), case.document_id, case.name, work, seen=seen_by_them)
        await index.count_kill(cabinet(7), case.document_id, starts)
        await index.lower(cabinet(7), case.document_id, starts)
        assert await _counted(case) == starts

    async def test_a_decision_on_a_manifest_that_is_gone_asks_to_be_made_again(
        self, index: Index
    ) -> None:
        case = Case(index, cabinet())
        with pytest.raises(UnavailableError):
            await index.decide(case.cabinet, case.decision(5), is_open=True)


class CopySuite:
    """New metadata is written beside the old, and published by the same decision as all else."""

    async def test_a_copy_has_the_same_chunks_and_says_what_is_new(self, index: Index) -> None:
        case = Case(index, cabinet())
        await case.publish(5, count=300, metadata={"lang": "de"})
        await index.copy(
            case.cabinet,
            case.document_id,
            source=(Version(5), Epoch(0)),
            to=(Version(6), Epoch(2)),
            filename="new.txt",
            metadata={"lang": "fr"},
        )
        assert [await case.count(5), await case.count(6, 2)] == [300, 300]
        before = await index.search(case.cabinet, asking(3, metadata={"lang": "de"}))
        assert [hit.version for hit in before] == [5] * 5
        assert await index.search(case.cabinet, asking(3, metadata={"lang": "fr"})) == []
        await index.decide(case.cabinet, case.decision(6, 2, count=300))
        assert await index.search(case.cabinet, asking(3, metadata={"lang": "de"})) == []
        after = await index.search(case.cabinet, asking(3, metadata={"lang": "fr"}, top_k=300))
        assert {(hit.version, hit.filename) for hit in after} == {(6, "new.txt")}
        assert {hit.start for hit in after} == {n * 10 for n in range(300)}
        assert after[0].score == pytest.approx(before[0].score, abs=1e-5)

    async def test_a_copy_made_twice_is_one(self, index: Index) -> None:
        case = Case(index, cabinet())
        await case.publish(5)
        for _ in range(2):
            await index.copy(
                case.cabinet,
                case.document_id,
                source=(Version(5), Epoch(0)),
                to=(Version(6), Epoch(0)),
                filename="a.txt",
                metadata={},
            )
        assert await case.count(6) == 3

    async def test_nothing_is_copied_from_another_cabinet(self, index: Index) -> None:
        case = Case(index, cabinet(8))
        await case.publish(5)
        await index.copy(
            cabinet(7),
            case.document_id,
            source=(Version(5), Epoch(0)),
            to=(Version(6), Epoch(0)),
            filename="a.txt",
            metadata={},
        )
        mine = Case(index, cabinet(7))
        mine.document_id = case.document_id
        assert (await case.count(6), await mine.count(6)) == (0, 0)


class ErasureSuite:
    """Deletes take all versions up to theirs, count them, and stay within their cabinet."""

    async def test_an_erasure_takes_this_version_and_all_below(self, index: Index) -> None:
        case = Case(index, cabinet())
        base = _NOW_US
        works = [(base - 1, 0), (base, 0), (base, 7), (base + 1, 0)]
        for work in works:
            await case.write(*work)
        other = Case(index, cabinet(), "b.txt")
        await other.write(base)
        up_to = Version(base)
        assert await index.erase(case.cabinet, case.document_id, up_to=up_to) == 9
        assert [await case.count(*work) for work in works] == [0, 0, 0, 3]
        assert await index.erase(case.cabinet, case.document_id, up_to=up_to) == 0
        assert await other.count(base) == 3

    async def test_a_cabinets_erasure_leaves_newer_chunks_and_the_documents_named(
        self, index: Index
    ) -> None:
        cases = [Case(index, cabinet(), f"{n}.txt") for n in range(4)]
        for version, case in enumerate(cases, start=4):
            await case.write(version)
        neighbour = Case(index, cabinet(77))
        await neighbour.write(4)
        spared = cases[1].document_id
        assert await index.erase_cabinet(cabinet(), up_to=Version(6), without=[spared]) == 6
        left = [await case.count(version) for version, case in enumerate(cases, start=4)]
        assert left == [0, 3, 0, 3]
        assert await index.erase_cabinet(cabinet(), up_to=Version(6)) == 3
        assert await neighbour.count(4) == 3

    async def test_an_erasure_stays_within_its_cabinet(self, index: Index) -> None:
        case = Case(index, cabinet(8))
        await case.write(5)
        everything = Version(MAX_EXACT_INTEGER)
        assert await index.erase(cabinet(7), case.document_id, up_to=everything) == 0
        assert await index.erase_cabinet(cabinet(7), up_to=everything) == 0
        assert await case.count(5) == 3


class WithdrawalSuite:
    """A delete that newer work overtook still ends what only older versions have asked for."""

    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED])
    async def test_what_newer_work_kept_is_withdrawn_and_the_fence_stays(
        self, index: Index, outcome: Outcome
    ) -> None:
        case = Case(index, cabinet())
        await case.publish(_NOW_US)
        await index.decide(case.cabinet, case.decision(_NOW_US + 2, outcome=outcome))
        stands = await index.withdraw(case.cabinet, case.document_id, up_to=Version(_NOW_US + 1))
        assert stands is not None
        assert stands.published is None
        assert await case.stands() == (_NOW_US + 2, 0, outcome, None)
        assert await index.search(case.cabinet, asking()) == []

    async def test_what_a_newer_version_found_unchanged_is_not_withdrawn(
        self, index: Index
    ) -> None:
        case = Case(index, cabinet())
        await case.publish(5)
        await index.decide(case.cabinet, case.decision(7, outcome=Outcome.UNCHANGED))
        await index.decide(case.cabinet, case.decision(8, outcome=Outcome.FAILED))
        await index.withdraw(case.cabinet, case.document_id, up_to=Version(6))
        assert (await case.stands())[3] == (5, 0)
        await index.withdraw(case.cabinet, case.document_id, up_to=Version(7))
        assert (await case.stands())[3] is None

    async def test_a_newer_publication_is_not_withdrawn(self, index: Index) -> None:
        case = Case(index, cabinet())
        await case.publish(7)
        await index.withdraw(case.cabinet, case.document_id, up_to=Version(6))
        assert (await case.stands())[3] == (7, 0)
        assert await index.withdraw(cabinet(8), case.document_id, up_to=Version(9)) is None
        assert (await case.stands())[3] == (7, 0)

    async def test_unchanged_is_not_decided_on_what_is_no_longer_published(
        self, index: Index
    ) -> None:
        case = Case(index, cabinet())
        await case.publish(5)
        seen = await _standing(case)
        assert seen is not None
        decision = replace(
            case.decision(7, outcome=Outcome.UNCHANGED, task_id=new_task_id()),
            only_while=seen.published,
        )
        await index.decide(case.cabinet, case.decision(6, outcome=Outcome.DELETED))
        with pytest.raises(UnavailableError):
            await index.decide(case.cabinet, decision)
        assert await case.stands() == (6, 0, Outcome.DELETED, None)
        await case.publish(6, 1)
        with pytest.raises(UnavailableError):
            await index.decide(case.cabinet, decision)
        assert (await case.stands())[:2] == (6, 1)


class IndexLifeSuite(StartsSuite, CopySuite, ErasureSuite, WithdrawalSuite):
    """All of it."""
