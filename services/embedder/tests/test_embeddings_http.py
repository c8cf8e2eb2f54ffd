import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from embedder.domain.model import ModelSpec
from embedder.domain.vectors import Embedded, InputType
from embedder.entrypoints.embeddings_http import EmbeddingsHttp, HttpLimits
from kartoteka_contracts.errors import DocumentError, UnavailableError

Client = TestClient[web.Request, web.Application]


class FakeEmbedder:
    """Tells in each vector how long its text was, and whether it was a query."""

    model = ModelSpec(name="tiny", dimension=3, max_tokens=16)

    def __init__(self) -> None:
        self.loaded = True
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.arrival = asyncio.Event()

    async def embed_texts(self, texts: Sequence[str], *, input_type: InputType) -> Embedded:
        self.waiting += 1
        self.arrival.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        rows = [[len(text), input_type == "query", 0.5] for text in texts]
        return Embedded(vectors=np.array(rows, np.float32), tokens=7)


@pytest.fixture
async def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
async def client(embedder: FakeEmbedder) -> AsyncIterator[Client]:
    app = web.Application(client_max_size=4096)
    limits = HttpLimits(inputs=3, characters=100, requests=2)
    app.add_routes(EmbeddingsHttp(embedder, limits).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def post(client: Client, body: Any) -> tuple[int, Any]:
    answer = await client.post("/v1/embeddings", json=body)
    return answer.status, await answer.json()


async def test_one_text_gives_one_vector_as_openai_answers(client: Client) -> None:
    status, body = await post(client, {"input": "hello", "model": "tiny", "user": "x"})

    assert status == 200
    assert body == {
        "object": "list",
        "model": "tiny",
        "data": [{"object": "embedding", "index": 0, "embedding": [5.0, 1.0, 0.5]}],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


async def test_many_texts_keep_their_order(client: Client) -> None:
    _, body = await post(client, {"input": ["a", "", "ccc"]})

    assert [entry["index"] for entry in body["data"]] == [0, 1, 2]
    assert [entry["embedding"][0] for entry in body["data"]] == [1, 0, 3]


async def test_passages_are_asked_for_by_name(client: Client) -> None:
    _, body = await post(client, {"input": "a", "input_type": "passage"})

    assert body["data"][0]["embedding"][1] == 0


async def test_base64_carries_little_endian_floats(client: Client) -> None:
    _, body = await post(client, {"input": "ab", "encoding_format": "base64"})

    raw = base64.b64decode(body["data"][0]["embedding"])
    assert np.frombuffer(raw, "<f4").tolist() == [2.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        ({}, 400, "invalid_request", "input"),
        ({"input": []}, 400, "invalid_request", "input"),
        ({"input": [1, 2]}, 400, "invalid_request", "input"),
        ({"input": None}, 400, "invalid_request", "input"),
        ([], 400, "invalid_request", "body"),
        ({"input": "a", "encoding_format": "hex"}, 400, "invalid_request", "encoding_format"),
        ({"input": "a", "input_type": "document"}, 400, "invalid_request", "input_type"),
        ({"input": "a", "dimensions": 4}, 400, "invalid_request", "dimensions"),
        ({"input": ["a"] * 4}, 400, "invalid_request", "at most 3"),
        ({"input": "a" * 101}, 400, "invalid_request", "at most 100"),
        ({"input": "\ud800"}, 400, "invalid_request", "surrogate"),
        ({"input": "a", "model": "other"}, 404, "model_not_found", "'tiny'"),
        ({"input": "a" * 5000}, 413, "body_too_large", "too large"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict | list) else None,
)
async def test_what_cannot_be_served_is_refused_in_openai_form(
    client: Client, body: Any, status: int, code: str, told: str
) -> None:
    found, answer = await post(client, body)

    assert found == status
    assert answer["error"]["code"] == code
    assert answer["error"]["type"] == "invalid_request_error"
    assert told in answer["error"]["message"]


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 4000], ids=["", "{", "ff", "deep"])
async def test_a_body_that_is_no_json_is_refused(client: Client, raw: bytes) -> None:
    answer = await client.post("/v1/embeddings", data=raw)

    assert answer.status == 400
    assert (await answer.json())["error"]["message"] == "the body is not JSON in UTF-8"


async def test_it_is_unavailable_while_the_model_loads(
    client: Client, embedder: FakeEmbedder
) -> None:
    embedder.loaded = False
    answer = await client.post("/v1/embeddings", json={"input": "a"})

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert (await answer.json())["error"]["type"] == "server_error"


@pytest.mark.parametrize(
    ("error", "status"),
    [(UnavailableError("shutting_down"), 503), (DocumentError("embedding_failed"), 500)],
    ids=["away", "failed"],
)
async def test_failures_of_the_engine_are_told(
    client: Client, embedder: FakeEmbedder, error: UnavailableError | DocumentError, status: int
) -> None:
    embedder.error = error

    found, answer = await post(client, {"input": "a"})

    assert (found, answer["error"]["code"]) == (status, error.code)


async def test_too_many_requests_at_once_are_told_to_come_again(
    client: Client, embedder: FakeEmbedder
) -> None:
    embedder.gate.clear()
    waiting = [asyncio.create_task(post(client, {"input": "a"})) for _ in range(2)]
    while embedder.waiting < 2:
        await embedder.arrival.wait()
        embedder.arrival.clear()
    status, body = await post(client, {"input": "a"})
    embedder.gate.set()

    assert (status, body["error"]["code"]) == (429, "overloaded")
    assert [(await task)[0] for task in waiting] == [200, 200]


async def test_the_model_is_listed_with_its_size(client: Client) -> None:
    answer = await client.get("/v1/models")

    assert (await answer.json())["data"] == [
        {
            "id": "tiny",
            "object": "model",
            "owned_by": "kartoteka",
            "dimension": 3,
            "max_tokens": 16,
        }
    ]
