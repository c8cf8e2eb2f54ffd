"""Every order in which writers, crashes and readers can meet, against a model of a few lines."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kartoteka_contracts.ids import MAX_EXACT_INTEGER
from kartoteka_index import Hit, Index, Manifest, QdrantSettings
from kartoteka_testkit.index_cases import MODEL, Case, asking, cabinet
from kartoteka_testkit.stepping import SteppedQdrant, Walk, run_through

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")

_STEPS = 3  # insert, conditional set, read back
_number = st.sampled_from([1, 2, 3, MAX_EXACT_INTEGER - 1, MAX_EXACT_INTEGER])
_work = st.tuples(_number, st.sampled_from([0, 1, 2, MAX_EXACT_INTEGER]))


def _index() -> Index:
    index = Index(SteppedQdrant(), QdrantSettings(url="http://memory"), MODEL)
    run_through(index.ensure())
    return index


class _Writer:
    """One delivery of a work, and what the model says of it."""

    def __init__(self, case: Case, number: int, work: tuple[int, int]) -> None:
        self.work = work
        self.owner = (work, number)
        self.steps = 0
        decision = case.decision(*work)
        self.walk: Walk[Manifest | None] = Walk(case.index.decide(case.cabinet, decision))
        self.walk.step()  # to its first request, which is not yet served


@settings(max_examples=300, deadline=None)
@given(works=st.lists(_work, min_size=2, max_size=4), data=st.data())
def test_the_higher_work_wins_in_every_order_and_the_loser_knows(
    works: list[tuple[int, int]], data: st.DataObject
) -> None:
    case = Case(_index(), cabinet())
    writers = [_Writer(case, number, work) for number, work in enumerate(works)]
    order = data.draw(st.permutations([n for n in range(len(works)) for _ in range(_STEPS)]))
    crashing = data.draw(st.sets(st.sampled_from(range(len(works))), max_size=len(works) - 1))
    dies_at = {n: data.draw(st.integers(0, _STEPS - 1), label="dies at") for n in crashing}
    stands: tuple[tuple[int, int], int] = ((0, 0), -1)
    for n in order:
        writer = writers[n]
        if dies_at.get(n) == writer.steps:
            writer.walk.crash()
        if writer.walk.over():
            continue
        writer.steps += 1
        writer.walk.step()
        if writer.steps == 2 and writer.work > stands[0]:
            stands = writer.owner
        if writer.steps == _STEPS:
            assert writer.walk.over()
            assert (writer.walk.result is not None) == (stands == writer.owner)
    assert run_through(case.stands())[:2] == stands[0]
    applied = [writer.work for writer in writers if writer.steps >= 2]
    assert stands[0] == max(applied)


@settings(max_examples=200, deadline=None)
@given(
    order=st.lists(st.integers(0, 1), max_size=60),
    asked=st.sampled_from([(1, 3), (3, 3), (12, 2), (12, 6)]),
)
# A half-written version is left out of the next round, and published and swept for before it.
@example(order=[0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1], asked=(12, 2))
# A publication between any two readings of one search.
@example(order=[1, 1, *[0] * 5] * 6, asked=(12, 6))
def test_a_search_sees_one_whole_version_at_every_moment_of_a_publication(
    order: list[int], asked: tuple[int, int]
) -> None:
    top_k, newest = asked
    index = _index()
    case = Case(index, cabinet())
    rival = Case(index, cabinet(), "rival.txt")
    run_through(rival.publish(1, tilt=2.0, count=6))
    run_through(case.publish(1))

    async def publish() -> None:
        for version in range(2, newest + 1):
            await case.publish(version)

    publisher = Walk(publish())
    wanted = asking(top_k=top_k)
    reader: Walk[list[Hit]] = Walk(index.search(case.cabinet, wanted))
    answers: list[list[Hit] | None] = []
    for who in order:
        (publisher, reader)[who].step()
        if reader.over():
            answers.append(reader.result)
            reader = Walk(index.search(case.cabinet, wanted))
    answers.append(reader.finish())
    publisher.finish()
    answers.append(run_through(index.search(case.cabinet, wanted)))
    seen = [_version(hits, case, top_k) for hits in answers]
    assert seen == sorted(seen)
    assert seen[-1] == newest


def _version(hits: list[Hit] | None, case: Case, top_k: int) -> int:
    """Return the one version of the document in an answer, of which it must be the best part."""
    assert hits is not None
    found = [hit for hit in hits if hit.document_id == case.document_id]
    (version,) = {hit.version for hit in found}
    assert hits[0].text == f"a.txt {version}.0 #0"
    assert len(hits) == min(top_k, 3 + 6)
    return version
