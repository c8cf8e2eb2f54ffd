from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from embedder.entrypoints.late_routes import LateRoutes
from embedder.entrypoints.probes import probe_routes
from kartoteka_runtime.health import Health
from kartoteka_runtime.metrics import Metrics

Client = TestClient[Any, Any]


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def late() -> LateRoutes:
    return LateRoutes()


@pytest.fixture
async def client(health: Health, late: LateRoutes) -> AsyncIterator[Client]:
    metrics = Metrics()
    metrics.counter("seen", "Things seen").inc()
    app = web.Application()
    app.add_routes([*probe_routes(health, metrics), late.route()])
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_probes_say_why_not(client: Client, health: Health) -> None:
    health.hold("kafka", "no answer")
    answer = await client.get("/healthz/ready")
    assert answer.status == 503
    assert (await answer.json())["reasons"]["kafka"] == "no answer"
    assert (await client.get("/healthz/startup")).status == 503
    assert (await client.get("/healthz/live")).status == 200


async def test_probes_pass_when_all_is_well(client: Client, health: Health) -> None:
    health.started = True
    for name in ("startup", "live", "ready"):
        assert (await client.get(f"/healthz/{name}")).status == 200


async def test_liveness_tells_the_reason(client: Client, health: Health) -> None:
    health.watch("loop", lambda: "late")
    answer = await client.get("/healthz/live")
    assert answer.status == 503
    assert (await answer.json())["reasons"] == {"loop": "late"}


async def test_metrics_are_served(client: Client) -> None:
    assert "kartoteka_seen_total 1.0" in await (await client.get("/metrics")).text()


async def test_routes_of_the_model_are_unavailable_until_they_are_there(
    client: Client, late: LateRoutes
) -> None:
    answer = await client.post("/v1/embeddings")
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"

    async def embed(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    late.fill([web.post("/v1/embeddings", embed)])
    assert await (await client.post("/v1/embeddings")).text() == "here"
    assert (await client.get("/v1/embeddings")).status == 405
    assert (await client.get("/v1/nothing")).status == 404
