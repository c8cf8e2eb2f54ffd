from hypothesis import given
from hypothesis import strategies as st

from embedder.domain.lanes import Lanes, Offer


def test_work_of_a_free_lane_is_ready() -> None:
    assert Lanes[str]().offer("d", "a", (1, 0)) == Offer(ready="a")


def test_equal_work_waits_for_the_running_one_and_then_runs() -> None:
    lanes = Lanes[str]()
    lanes.offer("d", "a", (1, 0))
    lanes.start("d", "a")
    assert lanes.offer("d", "b", (1, 0)) == Offer()
    assert lanes.end("d", "a") == "b"
    assert lanes.end("d", "b") is None
    assert len(lanes) == 0


def test_newer_work_stops_the_running_one_and_waits_for_its_end() -> None:
    lanes = Lanes[str]()
    lanes.offer("d", "a", (1, 0))
    lanes.start("d", "a")
    assert lanes.offer("d", "b", (2, 0)) == Offer(stop="a")
    assert lanes.end("d", "a") == "b"


def test_newer_work_closes_what_has_not_started() -> None:
    lanes = Lanes[str]()
    lanes.offer("d", "a", (1, 0))
    lanes.offer("d", "b", (1, 0))
    assert lanes.offer("d", "c", (1, 7)) == Offer(ready="c", close=("a", "b"))
    assert lanes.end("d", "a") is None
    assert lanes.end("d", "c") is None


def test_older_work_is_closed_at_once_even_when_the_newer_has_ended() -> None:
    lanes = Lanes[str]()
    lanes.offer("d", "b", (2, 0))
    lanes.start("d", "b")
    assert lanes.offer("d", "a", (1, 9)) == Offer(close=("a",))
    lanes.end("d", "b")
    assert lanes.offer("d", "c", (1, 9)) == Offer(close=("c",))


def test_what_runs_keeps_its_lane_over_a_rebalance_and_the_rest_is_forgotten() -> None:
    lanes = Lanes[str]()
    lanes.offer("d", "a", (1, 0))
    lanes.start("d", "a")
    lanes.offer("d", "b", (1, 0))
    lanes.offer("e", "x", (1, 0))
    lanes.keep_running()
    assert lanes.offer("d", "c", (1, 0)) == Offer()
    assert lanes.offer("e", "y", (1, 0)) == Offer(ready="y")
    assert lanes.end("d", "a") == "c"


def test_only_a_bounded_number_of_documents_is_remembered() -> None:
    lanes = Lanes[str](remembered=2)
    for key in "abc":
        lanes.offer(key, key, (5, 0))
        lanes.end(key, key)
    assert lanes.offer("a", "old", (1, 0)) == Offer(ready="old")
    assert lanes.offer("c", "old", (1, 0)) == Offer(close=("old",))


@given(st.lists(st.tuples(st.sampled_from("de"), st.integers(1, 4), st.booleans()), max_size=40))
def test_every_item_ends_once_one_at_a_time_and_the_newest_runs(
    steps: list[tuple[str, int, bool]],
) -> None:
    lanes = Lanes[int]()
    running: dict[str, int] = {}
    fates: dict[int, str] = {}
    newest: dict[str, tuple[int, int]] = {}
    orders: dict[int, tuple[int, int]] = {}

    def begin(key: str, item: int | None) -> None:
        if item is not None:
            assert key not in running
            lanes.start(key, item)
            running[key] = item

    def end(key: str) -> None:
        item = running.pop(key)
        fates[item] = "ran"
        begin(key, lanes.end(key, item))

    for item, (key, version, ends_first) in enumerate(steps):
        if ends_first and key in running:
            end(key)
        orders[item] = (version, 0)
        newest[key] = max(newest.get(key, (0, 0)), orders[item])
        offer = lanes.offer(key, item, orders[item])
        for closed in offer.close:
            assert closed not in fates
            assert orders[closed] < newest[key]
            fates[closed] = "closed"
        if offer.stop is not None:
            assert running[key] == offer.stop
        begin(key, offer.ready)
    for key in list(running):
        while key in running:
            last = running[key]
            end(key)
        assert orders[last] == newest[key]
    assert set(fates) == set(range(len(steps)))


def test_what_is_taken_out_makes_the_next_one_ready() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.offer("d", "first", (1, 0))
    lanes.offer("d", "second", (1, 0))
    lanes.offer("d", "third", (1, 0))
    assert lanes.discard("d", "second") is None
    assert lanes.discard("d", "first") == "third"
    assert lanes.discard("d", "third") is None
    assert len(lanes) == 0


def test_what_runs_is_not_taken_out() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.offer("d", "first", (1, 0))
    lanes.start("d", "first")
    lanes.offer("d", "second", (1, 0))
    assert lanes.discard("d", "first") is None
    assert lanes.discard("other", "first") is None
    assert lanes.end("d", "first") == "second"
