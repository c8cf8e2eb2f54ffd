import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.domain.due import Due


@given(st.lists(st.integers(0, 50), max_size=40))
def test_retries_come_out_by_time_and_equal_times_in_order(times: list[int]) -> None:
    due = Due[int](capacity=100, size=1000)
    for n, time in enumerate(times):
        due.hold(n, due_ms=time, size=1)
    order = []
    while (item := due.pop(50)) is not None:
        order.append(item)
    assert order == sorted(range(len(times)), key=lambda n: (times[n], n))


def test_nothing_comes_out_before_its_time() -> None:
    due = Due[str](capacity=10, size=1000)
    due.hold("a", due_ms=100, size=1)
    assert due.next_ms == 100
    assert due.pop(99) is None
    assert due.pop(100) == "a"
    assert due.next_ms is None


def test_it_is_bounded_by_count() -> None:
    due = Due[str](capacity=1, size=1000)
    due.hold("a", due_ms=1, size=1)
    assert due.is_full
    with pytest.raises(OverflowError):
        due.hold("b", due_ms=1, size=1)
    due.pop(1)
    assert len(due) == 0
    due.hold("c", due_ms=1, size=1)


def test_it_is_bounded_by_bytes_and_forgets_them_with_the_entries() -> None:
    due = Due[str](capacity=10, size=10)
    due.hold("huge", due_ms=1, size=50)
    assert due.is_full
    due.clear()
    due.hold("next", due_ms=1, size=9)
    assert len(due) == 1


def test_what_is_taken_out_makes_room_and_leaves_the_order() -> None:
    due: Due[str] = Due(capacity=9, size=100)
    items = {n: f"at {n}" for n in (5, 3, 9, 1, 7)}
    for n, item in items.items():
        due.hold(item, due_ms=n, size=20)
    room = [due.is_full]
    assert due.discard(items[3]) is True
    assert due.discard(items[3]) is False
    room.append(due.is_full)
    assert room == [True, False]
    assert [due.pop(99) for _ in range(5)] == ["at 1", "at 5", "at 7", "at 9", None]
