from collections.abc import Hashable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.domain.admission import WORK_TOPICS, Admission, Limits, Turns, Work, work_of
from embedder.domain.window import Place

T = TypeVar("T", bound=Hashable)

LIMITS = Limits(interactive=3, bulk=2, retry=1, running=8, reserved=3, planning=1)


def test_every_topic_of_work_has_a_class_of_its_own() -> None:
    assert {work_of(Place(topic, 0)) for topic in WORK_TOPICS} == set(Work)


def test_another_topic_has_none() -> None:
    with pytest.raises(ValueError, match="dlq"):
        work_of(Place("documents.dlq", 0))


def test_classes_are_limited_apart_from_each_other() -> None:
    admission = Admission(LIMITS)
    for _ in range(2):
        admission.enter(Work.BULK)
    assert not admission.admits(Work.BULK)
    assert admission.admits(Work.INTERACTIVE)
    admission.leave(Work.BULK)
    assert admission.admits(Work.BULK)


def test_bulk_and_retries_leave_the_reserved_slots_free() -> None:
    turns = Turns[int](LIMITS)
    for n in range(20):
        turns.put(Work.BULK if n % 2 else Work.RETRY, 1, n)
    assert len(started(turns)) == 5
    turns.put(Work.INTERACTIVE, 1, 100)
    assert turns.next() == 100


def test_interactive_work_may_take_all_slots() -> None:
    turns = Turns[int](LIMITS)
    for n in range(20):
        turns.put(Work.INTERACTIVE, 1, n)
    assert started(turns) == list(range(8))


def test_interactive_work_comes_first_and_bulk_is_never_starved() -> None:
    turns = Turns[str](Limits(running=1, reserved=0))
    for n in range(100):
        turns.put(Work.INTERACTIVE, 1, f"i{n}")
    turns.put(Work.BULK, 1, "bulk")
    turns.put(Work.RETRY, 1, "retry")
    order = []
    for _ in range(12):
        item = turns.next()
        assert item is not None
        order.append(item)
        turns.end(Work.INTERACTIVE if item.startswith("i") else Work(item))
    assert order[0] == "i0"
    assert {"bulk", "retry"} < set(order)
    assert order.index("bulk") >= 4
    assert order.index("retry") >= 4


def test_steps_of_runs_have_slots_of_their_own() -> None:
    turns = Turns[str](Limits(running=2, reserved=1, planning=2))
    for n in range(5):
        turns.put(Work.INTERACTIVE, 1, f"i{n}")
        turns.put(Work.REINDEX, n, f"run{n}")
    assert sorted(started(turns)) == ["i0", "i1", "run0", "run1"]
    turns.end(Work.REINDEX)
    assert started(turns) == ["run2"]
    turns.end(Work.INTERACTIVE)
    assert started(turns) == ["i2"]


def test_cabinets_take_turns() -> None:
    turns = Turns[str](Limits(running=100, reserved=0))
    for n in range(50):
        turns.put(Work.BULK, 1, f"big{n}")
    turns.put(Work.BULK, 2, "small")
    assert started(turns)[:3] == ["big0", "small", "big1"]


def test_what_is_discarded_does_not_start() -> None:
    turns = Turns[str](LIMITS)
    turns.put(Work.BULK, 1, "a")
    turns.put(Work.BULK, 1, "b")
    turns.discard(Work.BULK, 1, "a")
    turns.discard(Work.BULK, 1, "never there")
    turns.discard(Work.BULK, 9, "never there")
    assert started(turns) == ["b"]


def test_a_rebalance_empties_the_queues_and_keeps_the_slots() -> None:
    turns = Turns[int](LIMITS)
    for n in range(9):
        turns.put(Work.INTERACTIVE, 1, n)
    started(turns)
    turns.clear()
    assert turns.running(Work.INTERACTIVE) == 8
    turns.end(Work.INTERACTIVE)
    assert turns.next() is None


@given(st.lists(st.tuples(st.sampled_from(Work), st.integers(1, 3)), max_size=80), st.data())
def test_limits_hold_and_everything_starts_in_the_end(
    arrivals: list[tuple[Work, int]], data: st.DataObject
) -> None:
    turns = Turns[tuple[Work, int]](LIMITS)
    running: list[tuple[Work, int]] = []
    seen = set[tuple[Work, int]]()
    for n, (work, cabinet) in enumerate(arrivals):
        turns.put(work, cabinet, (work, n))
        running += started(turns)
        documents = [item for item in running if item[0] is not Work.REINDEX]
        others = [item for item in documents if item[0] is not Work.INTERACTIVE]
        assert len(running) - len(documents) <= 1
        assert len(documents) <= 8
        assert len(others) <= 5
        seen.update(running)
        ends = data.draw(st.booleans())
        if running and ends:
            turns.end(running.pop(data.draw(st.integers(0, len(running) - 1)))[0])
    running += started(turns)
    seen.update(running)
    while running:
        turns.end(running.pop()[0])
        running += started(turns)
        seen.update(running)
    assert len(seen) == len(arrivals)


def started(turns: Turns[T]) -> list[T]:
    items: list[T] = []
    while (item := turns.next()) is not None:
        items.append(item)
    return items
