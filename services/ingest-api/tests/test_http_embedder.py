import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from ingest_api.adapters.embedder_pool import EmbedderPool
from ingest_api.adapters.http_embedder import HttpEmbedder
from ingest_api.settings import EmbeddingsSettings
from kartoteka_contracts.errors import UnavailableError
from kartoteka_index import ModelIdentity
from kartoteka_testkit.frozen_clock import FrozenClock
from kartoteka_testkit.ports import free_ports

_MODEL = ModelIdentity(name="test/model", dimension=3)


@dataclass
class Peer:
    """An embedder, as far as its interface goes."""

    model: str = "test/model"
    dimension: int = 3
    answer: Callable[["Peer"], web.Response] | None = None
    delay: float = 0.0
    url: str = ""
    queries: list[dict[str, Any]] = field(default_factory=list)
    described: int = 0

    async def embed(self, request: web.Request) -> web.Response:
        self.queries.append(await request.json())
        await asyncio.sleep(self.delay)
        if self.answer is not None:
            return self.answer(self)
        return self.vector([1.0] * self.dimension)

    def vector(self, numbers: Any) -> web.Response:
        data = [{"object": "embedding", "index": 0, "embedding": numbers}]
        return web.Response(
            text=json.dumps({"object": "list", "model": self.model, "data": data}),
            content_type="application/json",
        )

    async def describe(self, _: web.Request) -> web.Response:
        self.described += 1
        entry = {"id": self.model, "object": "model", "dimension": self.dimension}
        return web.json_response({"object": "list", "data": [entry]})


@asynccontextmanager
async def serving(peer: Peer, port: int = 0) -> AsyncIterator[Peer]:
    app = web.Application()
    app.add_routes([web.post("/v1/embeddings", peer.embed), web.get("/v1/models", peer.describe)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield peer
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(
    *urls: str, clock: FrozenClock | None = None, model: ModelIdentity | None = None
) -> AsyncIterator[HttpEmbedder]:
    settings = EmbeddingsSettings(urls=urls, timeout=1.0, rest=5.0)
    embedder = HttpEmbedder(settings, clock or FrozenClock(), model=model)
    try:
        yield embedder
    finally:
        await embedder.close()


async def test_a_query_is_asked_as_a_query_of_the_model_that_is_served() -> None:
    async with serving(Peer()) as peer, asking(peer.url) as embedder:
        vector = await embedder.embed_query("who?")
        await embedder.embed_query("and?")
        assert vector.tolist() == [1.0, 1.0, 1.0]
        assert vector.dtype == np.float32
        assert await embedder.model() == _MODEL
    assert peer.described == 1
    assert peer.queries[0] == {"input": "who?", "model": "test/model", "input_type": "query"}


async def test_a_model_that_is_set_is_not_asked_for() -> None:
    async with serving(Peer()) as peer, asking(peer.url, model=_MODEL) as embedder:
        await embedder.embed_query("who?")
    assert peer.described == 0


async def test_embedders_take_turns() -> None:
    async with (
        serving(Peer()) as one,
        serving(Peer()) as two,
        asking(one.url, two.url, model=_MODEL) as embedder,
    ):
        for _ in range(6):
            await embedder.embed_query("who?")
    assert (len(one.queries), len(two.queries)) == (3, 3)


async def test_a_dead_embedder_is_left_out_for_a_while_and_then_tried_again() -> None:
    clock = FrozenClock()
    (port,) = free_ports(1)
    dead = f"http://127.0.0.1:{port}"
    async with serving(Peer()) as alive, asking(dead, alive.url, clock=clock) as embedder:
        for _ in range(4):
            await embedder.embed_query("who?")
        assert len(alive.queries) == 4
        async with serving(Peer(), port) as back:
            await embedder.embed_query("who?")
            assert back.queries == []
            clock.advance(6)
            for _ in range(2):
                await embedder.embed_query("who?")
            assert len(back.queries) == 1


async def test_when_all_rest_all_are_tried() -> None:
    (port,) = free_ports(1)
    async with asking(f"http://127.0.0.1:{port}", model=_MODEL) as embedder:
        with pytest.raises(UnavailableError):
            await embedder.embed_query("who?")
        async with serving(Peer(), port):
            assert (await embedder.embed_query("who?")).shape == (3,)


async def test_no_embedder_is_told_as_unavailable() -> None:
    (port,) = free_ports(1)
    async with asking(f"http://127.0.0.1:{port}") as embedder:
        with pytest.raises(UnavailableError) as refused:
            await embedder.embed_query("who?")
    assert refused.value.code == "embeddings_unavailable"


def _status(status: int) -> Callable[[Peer], web.Response]:
    return lambda _: web.Response(status=status)


def _text(text: str) -> Callable[[Peer], web.Response]:
    return lambda _: web.Response(text=text, content_type="application/json")


@pytest.mark.parametrize(
    "answer",
    [
        _status(503),
        _status(404),
        _text("no json"),
        _text("[]"),
        _text('{"data": []}'),
        lambda peer: peer.vector([1.0, float("nan"), 0.0]),
        lambda peer: peer.vector([1.0, float("inf"), 0.0]),
        lambda peer: peer.vector([1.0, "x", 0.0]),
        lambda peer: peer.vector([1.0, 2.0]),
        lambda peer: peer.vector([[1.0], [2.0], [3.0]]),
        lambda peer: peer.vector([1e300, 2.0, 3.0]),
    ],
    ids=[
        "503",
        "404",
        "no JSON",
        "a list",
        "no vector",
        "NaN",
        "infinite",
        "text",
        "too short",
        "nested",
        "beyond float32",
    ],
)
async def test_an_answer_that_cannot_be_used_is_never_searched_with(
    answer: Callable[[Peer], web.Response],
) -> None:
    async with (
        serving(Peer(answer=answer)) as bad,
        serving(Peer()) as good,
        asking(bad.url, good.url, model=_MODEL) as embedder,
    ):
        for _ in range(2):
            assert (await embedder.embed_query("who?")).tolist() == [1.0, 1.0, 1.0]
    async with serving(Peer(answer=answer)) as bad, asking(bad.url, model=_MODEL) as embedder:
        with pytest.raises(UnavailableError):
            await embedder.embed_query("who?")


async def test_a_slow_embedder_does_not_hold_a_query_up() -> None:
    async with (
        serving(Peer(delay=1.5)) as slow,
        serving(Peer()) as good,
        asking(slow.url, good.url, model=_MODEL) as embedder,
    ):
        for _ in range(2):
            await embedder.embed_query("who?")
    assert len(slow.queries) <= 1


async def test_an_installation_that_got_another_model_is_learnt_anew() -> None:
    async with serving(Peer()) as peer, asking(peer.url) as embedder:
        await embedder.embed_query("who?")
        peer.model, peer.dimension = "test/other", 5
        with pytest.raises(UnavailableError):
            await embedder.embed_query("who?")
        assert (await embedder.embed_query("who?")).shape == (5,)
        assert await embedder.model() == ModelIdentity(name="test/other", dimension=5)


async def test_a_name_with_several_addresses_counts_as_all_of_them() -> None:
    pool = EmbedderPool(["http://localhost:8081/base"], rest=1, clock=FrozenClock())
    addresses = await pool.in_turn()
    assert {address.base_url for address in addresses} <= {
        "http://127.0.0.1:8081/base",
        "http://[::1]:8081/base",
        "http://localhost:8081/base",
    }
    assert all(address.host == "localhost:8081" for address in addresses if len(addresses) > 1)
