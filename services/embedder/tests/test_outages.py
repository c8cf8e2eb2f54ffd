"""Outages: waited out in place, once for all, and told from a document's own trouble."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from embedder.usecases.outages import Dependency, Outages
from kartoteka_contracts.errors import KartotekaError, UnavailableError
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.metrics import Metrics
from kartoteka_testkit.eventually import eventually

PAUSE = Backoff(base=0.005, limit=0.01)


class Store:
    """A dependency, its probe and its door."""

    def __init__(self) -> None:
        self.is_away = False
        self.probes = 0
        self.probes_until_well = 0
        self.calls = 0
        self.holds: set[str] = set()
        self.error: Exception = UnavailableError("index_unavailable", "connection refused")

    async def probe(self) -> None:
        self.probes += 1
        await asyncio.sleep(0)
        self.probes_until_well -= 1
        if self.is_away or self.probes_until_well >= 0:
            raise self.error

    async def call(self) -> str:
        self.calls += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise UnavailableError("index_unavailable")
        return "done"

    def hold(self, reason: str) -> None:
        self.holds.add(reason)

    def release(self, reason: str) -> None:
        self.holds.discard(reason)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def outages(store: Store, metrics: Metrics) -> AsyncIterator[Outages]:
    made = Outages(
        [Dependency(name="index", code="index_unavailable", probe=store.probe)],
        metrics=metrics,
        pause=PAUSE,
    )
    made.guard(store)
    yield made
    await made.stop()


def _failing(code: str, times: int) -> Callable[[], Awaitable[int]]:
    calls = 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise UnavailableError(code)
        return calls

    return call


def _gauge(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("kartoteka_outage", {"dependency": "index"})


async def test_an_outage_holds_the_door_until_the_probe_is_well(
    outages: Outages, store: Store, metrics: Metrics
) -> None:
    assert _gauge(metrics) == 0
    store.is_away = True
    waiting = asyncio.create_task(outages.through(store.call))
    await eventually(lambda: store.holds == {"index"})
    assert _gauge(metrics) == 1
    assert await outages.ask_all() == "connection refused"
    await eventually(lambda: store.probes > 5)
    assert store.calls == 1
    store.is_away = False
    assert await waiting == "done"
    assert (store.holds, _gauge(metrics)) == (set(), 0)


async def test_all_who_wait_share_one_prober_and_go_on_together(
    outages: Outages, store: Store
) -> None:
    store.is_away = True
    waiting = [asyncio.create_task(outages.through(store.call)) for _ in range(50)]
    await eventually(lambda: bool(store.holds))
    before = store.probes
    await eventually(lambda: store.probes > before + 2)
    assert store.probes < 50
    store.is_away = False
    assert await asyncio.gather(*waiting) == ["done"] * 50
    assert store.calls == 100


@pytest.mark.parametrize(
    "script",
    ["away away away away", "fails fails away fails fails"],
    ids=["outages-only", "outage-between-failures"],
)
async def test_an_outage_uses_up_no_tries(outages: Outages, store: Store, script: str) -> None:
    steps = iter(script.split())

    async def call() -> str:
        step = next(steps, "works")
        if step == "works":
            return "done"
        store.probes_until_well = 3 if step == "away" else 0
        raise UnavailableError("index_unavailable")

    assert await outages.through(call) == "done"


async def test_failures_while_the_dependency_is_well_are_the_calls_own(
    outages: Outages, store: Store
) -> None:
    assert await outages.through(_failing("index_unavailable", 2)) == 3
    with pytest.raises(UnavailableError):
        await outages.through(_failing("index_unavailable", 3))
    assert store.holds == set()


async def test_a_call_without_a_last_try_is_repeated_for_ever(outages: Outages) -> None:
    assert await outages.through(_failing("index_unavailable", 7), tries=None) == 8


async def test_what_nobody_can_ask_is_waited_for(outages: Outages) -> None:
    assert await outages.through(_failing("parser_unavailable", 7)) == 8


async def test_other_errors_are_not_repeated(outages: Outages) -> None:
    async def call() -> None:
        raise KartotekaError("body_missing")

    with pytest.raises(KartotekaError, match="body"):
        await outages.through(call)


async def test_who_stops_waiting_leaves_the_prober_to_the_others(
    outages: Outages, store: Store
) -> None:
    store.is_away = True
    first, second = (asyncio.create_task(outages.through(store.call)) for _ in range(2))
    await eventually(lambda: bool(store.holds))
    first.cancel()
    await asyncio.wait([first])
    store.is_away = False
    assert await second == "done"


async def test_a_prober_that_breaks_holds_nothing_for_ever(outages: Outages, store: Store) -> None:
    store.is_away = True
    waiting = asyncio.create_task(outages.through(store.call))
    await eventually(lambda: bool(store.holds))
    store.error = ZeroDivisionError("planted")
    with pytest.raises(ZeroDivisionError):
        await waiting
    assert store.holds == set()
