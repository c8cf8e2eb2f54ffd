from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from embedder.domain.reindex_plan import RunForecast
from embedder.entrypoints.late_routes import LateRoutes
from embedder.entrypoints.plans_http import PlansHttp
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import KartotekaError, UnavailableError
from kartoteka_contracts.reindex import ReindexMode, RunCounts

Client = TestClient[web.Request, web.Application]


class Planner:
    """Forecasts the same for every cabinet."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.fault: tuple[str, str] | None = None
        self.asked: list[tuple[int, ReindexMode]] = []

    async def plan(self, cabinet: AuthorisedCabinet, mode: ReindexMode) -> RunForecast:
        self.asked.append((cabinet.cabinet_id, mode))
        if self.error is not None:
            raise self.error
        return RunForecast(
            mode=mode,
            total=3,
            counts=RunCounts(seen=5, new=1, stale=2, unchanged=2),
            chunks=40,
            estimated_seconds=2.5,
            fault=self.fault,
        )


@pytest.fixture
def planner() -> Planner:
    return Planner()


@pytest.fixture
async def client(planner: Planner) -> AsyncIterator[Client]:
    late, app = LateRoutes(), web.Application()
    late.fill([web.get("/v1/plans", _listed), *PlansHttp(planner, at_once=1).routes()])
    app.add_routes([late.route()])
    async with TestClient(TestServer(app)) as client:
        yield client


async def _listed(_request: web.Request) -> web.Response:
    return web.Response(text="all")


async def get(client: Client, path: str) -> tuple[int, Any]:
    answer = await client.get(path)
    return answer.status, await answer.json()


async def test_a_plan_says_what_a_run_would_do(client: Client, planner: Planner) -> None:
    status, body = await get(client, "/v1/plans/7?mode=full")
    assert status == 200
    counts = RunCounts(seen=5, new=1, stale=2, unchanged=2).model_dump()
    assert body == {
        "cabinet_id": 7,
        "mode": "full",
        "total": 3,
        "counts": counts,
        "chunks": 40,
        "estimated_seconds": 2.5,
        "would_fail": None,
    }
    assert planner.asked == [(7, ReindexMode.FULL)]


async def test_changed_is_the_mode_of_a_request_without_one(
    client: Client, planner: Planner
) -> None:
    await get(client, "/v1/plans/7")
    assert planner.asked == [(7, ReindexMode.CHANGED)]


async def test_what_a_run_would_fail_with_is_a_part_of_its_plan(
    client: Client, planner: Planner
) -> None:
    planner.fault = ("vanish_guard", "60 of 80 are gone")
    status, body = await get(client, "/v1/plans/7")
    assert status == 200
    assert body["would_fail"] == {"code": "vanish_guard", "message": "60 of 80 are gone"}


@pytest.mark.parametrize("path", ["/v1/plans/0", "/v1/plans/x", "/v1/plans/7?mode=all"])
async def test_what_cannot_be_read_is_refused(client: Client, planner: Planner, path: str) -> None:
    status, body = await get(client, path)
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    assert planner.asked == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KartotekaError("not_found"), 404),
        (UnavailableError("index_unavailable"), 503),
        (KartotekaError("internal"), 500),
        (KartotekaError("body_missing"), 500),
    ],
)
async def test_the_planners_errors_have_their_status(
    client: Client, planner: Planner, error: KartotekaError, status: int
) -> None:
    planner.error = error
    found, body = await get(client, "/v1/plans/7")
    assert (found, body["error"]["code"]) == (status, error.code)
    planner.error = None
    assert (await get(client, "/v1/plans/7"))[0] == 200, "the place of a failed one is free again"


async def test_one_more_than_may_be_under_way_is_told_to_come_again(planner: Planner) -> None:
    app = web.Application()
    app.add_routes(PlansHttp(planner, at_once=0).routes())
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/v1/plans/7")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert (await answer.json())["error"]["code"] == "overloaded"


async def test_only_the_last_segment_is_a_parameter(client: Client) -> None:
    assert await (await client.get("/v1/plans")).text() == "all"
    assert (await client.post("/v1/plans/7")).status == 405
    assert (await client.get("/v1/plans/7/8")).status == 404
