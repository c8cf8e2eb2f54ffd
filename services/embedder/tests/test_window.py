from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from embedder.domain.window import Place, Window, Windows

A = Place("documents.interactive", 0)
B = Place("documents.bulk", 0)

offsets = st.lists(st.integers(0, 10_000), unique=True, max_size=40).map(sorted)


@st.composite
def deliveries_and_endings(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    delivered = draw(offsets)
    return delivered, draw(st.permutations(delivered))


def run(window: Window, endings: Sequence[int]) -> list[list[int]]:
    return [list(window.finish(offset)) for offset in endings]


@given(deliveries_and_endings())
def test_any_order_of_endings_releases_all_in_the_order_of_offsets(
    case: tuple[list[int], list[int]],
) -> None:
    delivered, endings = case
    window = Window()
    assert all(window.open(offset) for offset in delivered)
    released = [offset for batch in run(window, endings) for offset in batch]
    assert released == delivered
    assert window.head is None


@given(deliveries_and_endings(), st.data())
def test_nothing_is_ever_released_over_a_record_that_has_not_ended(
    case: tuple[list[int], list[int]], data: st.DataObject
) -> None:
    delivered, endings = case
    done = endings[: data.draw(st.integers(0, len(endings)))]
    window = Window()
    for offset in delivered:
        window.open(offset)
    released = [offset for batch in run(window, done) for offset in batch]
    undone = set(delivered) - set(done)
    assert all(offset < min(undone, default=10_001) for offset in released)
    assert window.head == min(undone, default=None)


@given(st.data())
def test_deliveries_and_endings_may_be_mixed_in_any_way(data: st.DataObject) -> None:
    window, running, released = Window(), list[int](), list[int]()
    delivered = data.draw(offsets)
    waiting = list(delivered)
    while waiting or running:
        if waiting and (not running or data.draw(st.booleans())):
            offset = waiting.pop(0)
            window.open(offset)
            running.append(offset)
        else:
            ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
            released += window.finish(ended)
            assert all(offset < min(running, default=10_001) for offset in released)
    assert released == delivered


def test_a_second_delivery_in_one_generation_is_refused() -> None:
    window = Window()
    assert window.open(5)
    assert not window.open(5)
    assert not window.open(4)
    assert window.finish(5) == (5,)
    assert not window.open(5)


def test_ending_twice_or_ending_the_unknown_releases_nothing() -> None:
    window = Window()
    window.open(1)
    window.open(2)
    assert window.finish(2) == ()
    assert window.finish(2) == ()
    assert window.finish(7) == ()
    assert window.finish(1) == (1, 2)
    assert window.finish(1) == ()


def test_partitions_do_not_wait_for_each_other() -> None:
    windows = Windows()
    windows.turn(1)
    windows.open(A, 0)
    windows.open(B, 0)
    assert windows.finish(B, 0, generation=1) == (0,)
    assert windows.heads() == {A: 0}
    assert windows.size(A.topic) == 1


def test_an_ending_of_a_past_generation_releases_nothing() -> None:
    windows = Windows()
    windows.turn(1)
    windows.open(A, 3)
    windows.turn(2)
    assert windows.finish(A, 3, generation=1) == ()
    windows.open(A, 3)
    assert windows.finish(A, 3, generation=1) == ()
    assert windows.heads() == {A: 3}
    assert windows.finish(A, 3, generation=2) == (3,)


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.permutations(range(30)), st.integers(0, 30)),
        min_size=1,
        max_size=5,
    )
)
def test_over_generations_the_committed_offset_never_passes_an_unended_record(
    turns: list[tuple[int, list[int], int]],
) -> None:
    """Each generation redelivers from what was committed, and ends some of it in some order."""
    windows, committed, ended = Windows(), 0, set[int]()
    for generation, (_, order, count) in enumerate(turns):
        windows.turn(generation)
        for offset in range(committed, 30):
            assert windows.open(A, offset)
        for offset in order[:count]:
            if offset < committed:
                continue
            ended.add(offset)
            for released in windows.finish(A, offset, generation=generation):
                assert released == committed
                committed += 1
        assert set(range(committed)) <= ended
