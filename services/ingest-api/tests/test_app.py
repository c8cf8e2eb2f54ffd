import logging
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from ingest_api.entrypoints.http.app import create_app
from kartoteka_contracts.errors import ERRORS

World = Any  # the fixture's class; test modules cannot import conftest


class Question(BaseModel):
    text: str


def with_routes(app: FastAPI) -> None:
    routes = APIRouter()

    @routes.get("/boom")
    async def boom() -> None:
        raise RuntimeError("secret detail")

    @routes.post("/ask")
    async def ask(question: Question) -> int:
        return len(question.text)

    app.include_router(routes)


async def test_probes_tell_why_not(world: World) -> None:
    answer = await world.client.get("/healthz/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert "startup" in answer.json()["reasons"]
    assert (await world.client.get("/healthz/startup")).status_code == 503
    world.health.started = True
    world.health.hold("topics", "wrong partition count")
    answer = await world.client.get("/healthz/ready")
    assert answer.json()["reasons"] == {"topics": "wrong partition count"}
    world.health.clear("topics")
    for probe in ("startup", "live", "ready"):
        answer = await world.client.get(f"/healthz/{probe}")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok", "reasons": {}})
    world.health.watch("loop", lambda: "stuck")
    assert (await world.client.get("/healthz/live")).status_code == 503


async def test_metrics_count_by_route_and_never_by_path(world: World) -> None:
    await world.client.get("/rag/nowhere/123456")
    await world.client.get("/healthz/live")
    text = (await world.client.get("/metrics")).text
    assert 'kartoteka_http_requests_total{method="GET",route="/healthz/live",status="200"}' in text
    assert 'route="unmatched",status="404"' in text
    assert "123456" not in text


async def test_a_bug_is_a_problem_with_a_request_id_and_tells_nothing(world: World) -> None:
    with_routes(world.app)
    answer = await world.client.get("/boom", headers={"X-Request-ID": "my-id"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "my-id"
    assert answer.json()["code"] == "internal"
    assert answer.json()["instance"] == "urn:kartoteka:request:my-id"
    assert "secret" not in answer.text


async def test_a_strange_request_id_is_replaced(world: World) -> None:
    answer = await world.client.get("/healthz/live", headers={"X-Request-ID": "a b\tc"})
    assert answer.headers["x-request-id"] != "a b\tc"


@pytest.mark.parametrize(
    ("method", "path", "content", "expected"),
    [
        ("GET", "/nowhere", b"", (404, "not_found")),
        ("PUT", "/ask", b"", (405, "method_not_allowed")),
        ("POST", "/ask", b"{}", (422, "invalid_request")),
        ("POST", "/ask", b"{oops", (422, "invalid_request")),
        ("POST", "/ask", b'{"text":' + b"[" * 400 + b"]" * 400 + b"}", (422, "invalid_request")),
        ("POST", "/ask", b'{"text": "' + b"x" * 2000 + b'"}', (413, "body_too_large")),
        ("POST", "/ask", b'{"text": "\xff"}', (422, "invalid_request")),
    ],
)
async def test_every_refusal_is_a_problem_document(
    world: World, method: str, path: str, content: bytes, expected: tuple[int, str]
) -> None:
    with_routes(world.app)
    headers = {"content-type": "application/json"}
    answer = await world.client.request(method, path, content=content, headers=headers)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == expected


async def test_an_error_shows_nothing_of_the_input(world: World) -> None:
    with_routes(world.app)
    answer = await world.client.post("/ask", json={"text": ["my secret"]})
    assert answer.json()["code"] == "invalid_request"
    assert "my secret" not in answer.text


async def test_broken_json_is_said_to_be_so_and_where(world: World) -> None:
    with_routes(world.app)
    headers = {"content-type": "application/json"}
    answer = await world.client.post("/ask", content=b'{"text": nothing}', headers=headers)
    assert answer.json()["detail"] == "the body is no JSON: Expecting value at character 9"


async def test_the_docs_page_sends_the_file_after_all_that_must_come_before_it(
    world: World,
) -> None:
    paths = (await world.client.get("/openapi.json")).json()["paths"]
    for path, last in (("/rag/add-document", "file"), ("/rag/add-documents-batch", "files")):
        body = paths[path]["post"]["requestBody"]["content"]["multipart/form-data"]
        assert list(body["schema"]["properties"])[-1] == last


async def test_logs_hold_no_key(world: World, caplog: pytest.LogCaptureFixture) -> None:
    key = world.client.headers["X-API-Key"]
    with caplog.at_level(logging.DEBUG):
        await world.client.get("/healthz/live")
        await world.client.post("/rag/add-document", content=b"x")
    assert key not in caplog.text
    assert key.rpartition("_")[2] not in caplog.text


async def test_every_route_documents_its_errors_and_shows_examples(world: World) -> None:
    schema = (await world.client.get("/openapi.json")).json()
    routes = {
        (path, method): operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/rag/")
    }
    assert routes
    for place, operation in routes.items():
        assert operation.get("security"), place
        answers = operation["responses"]
        assert {"401", "403", "500", "503"} <= set(answers), place
        for status, answer in answers.items():
            if int(status) < 400:
                continue
            examples = answer["content"]["application/problem+json"]["examples"]
            for code, example in examples.items():
                assert ERRORS[code].http_status == int(status), place
                assert example["value"]["code"] == code
        assert "summary" in operation or "description" in operation


async def test_answers_match_their_documented_examples(world: World) -> None:
    schema = (await world.client.get("/openapi.json")).json()
    for name in ("Accepted", "BatchAccepted"):
        assert schema["components"]["schemas"][name]["examples"], name


async def test_the_documentation_can_be_left_out(world: World) -> None:
    app = create_app(replace(world.edge, docs=False))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.get("/docs")).status_code == 404
        assert (await client.get("/openapi.json")).status_code == 404
    assert (await world.client.get("/docs")).status_code == 200
