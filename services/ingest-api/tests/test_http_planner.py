"""What a run would do, asked of embedders."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from ingest_api.adapters.http_planner import HttpPlanner
from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.domain.run_plan import PlanFault, RunPlan
from ingest_api.settings import EmbeddingsSettings
from kartoteka_contracts.errors import RequestError, UnavailableError
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.reindex import ReindexMode, RunCounts
from kartoteka_testkit.frozen_clock import FrozenClock
from kartoteka_testkit.ports import free_ports

_KEY = Principal(key_id="k", name="k", scopes=frozenset(Scope), cabinets=None)
_CABINET = authorise(_KEY, Scope.READ, CabinetId(7))
_PLAN: dict[str, Any] = {
    "cabinet_id": 7,
    "mode": "changed",
    "total": 2,
    "counts": {"seen": 3, "new": 2, "unchanged": 1, "of_a_later_release": 9},
    "chunks": 44,
    "estimated_seconds": 5.5,
    "would_fail": None,
}


@dataclass
class Peer:
    """An embedder that plans."""

    answer: Any = field(default_factory=lambda: dict(_PLAN))
    status: int = 200
    delay: float = 0.0
    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def plan(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.path}?{request.query_string}")
        await asyncio.sleep(self.delay)
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)


@asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[Peer]:
    app = web.Application()
    app.add_routes([web.get("/v1/plans/{cabinet}", peer.plan)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield peer
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(*urls: str, seconds: float = 5.0) -> AsyncIterator[HttpPlanner]:
    settings = EmbeddingsSettings(urls=urls, timeout=0.05, plan_timeout=seconds, rest=5.0)
    planner = HttpPlanner(settings, FrozenClock())
    try:
        yield planner
    finally:
        await planner.close()


async def test_a_plan_is_asked_for_by_cabinet_and_mode_and_may_take_its_time() -> None:
    slow = Peer(delay=0.2, answer=_PLAN | {"mode": "full"})
    async with serving(slow) as peer, asking(peer.url) as planner:
        plan = await planner.plan(_CABINET, ReindexMode.FULL)
    assert peer.asked == ["/v1/plans/7?mode=full"]
    assert plan == RunPlan(
        cabinet_id=CabinetId(7),
        mode=ReindexMode.FULL,
        total=2,
        counts=RunCounts(seen=3, new=2, unchanged=1),
        chunks=44,
        estimated_seconds=5.5,
        would_fail=None,
    )


async def test_what_a_run_would_fail_with_is_a_part_of_its_plan() -> None:
    fault = {"code": "vanish_guard", "message": "60 of 100 are gone"}
    async with (
        serving(Peer(answer=_PLAN | {"would_fail": fault})) as peer,
        asking(peer.url) as planner,
    ):
        plan = await planner.plan(_CABINET, ReindexMode.CHANGED)
    assert plan.would_fail == PlanFault(code="vanish_guard", message="60 of 100 are gone")


async def test_embedders_take_turns() -> None:
    async with (
        serving(Peer()) as one,
        serving(Peer()) as two,
        asking(one.url, two.url) as planner,
    ):
        for _ in range(4):
            await planner.plan(_CABINET, ReindexMode.CHANGED)
    assert len(one.asked) == len(two.asked) == 2


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Peer(status=503), id="away"),
        pytest.param(Peer(status=404, answer="404: Not Found"), id="of an older release"),
        pytest.param(Peer(answer="<html>"), id="no JSON"),
        pytest.param(Peer(answer={"total": 1}), id="no plan"),
        pytest.param(Peer(answer=_PLAN | {"cabinet_id": 8}), id="of another cabinet"),
        pytest.param(Peer(answer=_PLAN | {"mode": "failed"}), id="of another mode"),
        pytest.param(Peer(answer=_PLAN | {"total": -1}), id="less than nothing"),
    ],
)
async def test_what_cannot_plan_is_left_out_for_the_next(bad: Peer) -> None:
    async with serving(bad), serving(Peer()) as good, asking(bad.url, good.url) as planner:
        for _ in range(4):
            assert (await planner.plan(_CABINET, ReindexMode.CHANGED)).total == 2
    assert len(bad.asked) <= 1
    async with serving(bad), asking(bad.url) as planner:
        with pytest.raises(UnavailableError) as caught:
            await planner.plan(_CABINET, ReindexMode.CHANGED)
    assert caught.value.code == "planner_unavailable"


async def test_nobody_there_is_said() -> None:
    (port,) = free_ports(1)
    async with asking(f"http://127.0.0.1:{port}") as planner:
        with pytest.raises(UnavailableError) as caught:
            await planner.plan(_CABINET, ReindexMode.CHANGED)
    assert caught.value.code == "planner_unavailable"


async def test_a_plan_that_takes_too_long_is_given_up_whoever_makes_it() -> None:
    async with (
        serving(Peer(delay=5)) as one,
        serving(Peer(delay=5)) as two,
        asking(one.url, two.url, seconds=0.3) as planner,
    ):
        async with asyncio.timeout(1.0):
            with pytest.raises(UnavailableError) as caught:
                await planner.plan(_CABINET, ReindexMode.CHANGED)
    assert caught.value.code == "planner_unavailable"
    assert len(one.asked) + len(two.asked) == 1


async def test_a_cabinet_that_planners_do_not_know_is_not_found() -> None:
    unknown = Peer(status=404, answer={"error": {"code": "not_found", "message": "no"}})
    async with serving(unknown) as peer, asking(peer.url) as planner:
        with pytest.raises(RequestError) as caught:
            await planner.plan(_CABINET, ReindexMode.CHANGED)
    assert caught.value.code == "not_found"
