"""What is inside stays inside: callers get a code and what to do, the log gets the reason."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from ingest_api.entrypoints.http.wording import public_words
from kartoteka_contracts.errors import ERRORS, DocumentError, KartotekaError, UnavailableError

World = Any  # the fixture's class; test modules cannot import conftest
Upload = Callable[..., Awaitable[httpx.Response]]
INNER = "10.1.2.3:9092 refused 'cabinets/1/bodies/x'"
INSIDE = [code for code, spec in ERRORS.items() if (spec.http_status or 0) >= 500]


def failing(world: World, error: KartotekaError) -> None:
    routes = APIRouter()

    @routes.get("/fail")
    async def fail() -> None:
        raise error from OSError("connect to 10.9.9.9 failed")

    world.app.include_router(routes)


@pytest.mark.parametrize("code", INSIDE)
async def test_a_failure_inside_tells_its_code_and_what_to_do_and_logs_its_reason(
    world: World, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = ERRORS[code]
    failing(world, (UnavailableError if spec.retriable else KartotekaError)(code, INNER))
    answer = await world.client.get("/fail", headers={"X-Request-ID": "my-id"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (spec.http_status, code)
    assert problem["detail"] == f"{spec.title}. {spec.advice}"
    assert "10." not in answer.text
    assert "cabinets/" not in answer.text
    assert problem["instance"] == "urn:kartoteka:request:my-id"
    [line] = [line for line in capsys.readouterr().out.splitlines() if code in line]
    assert INNER in line
    assert "connect to 10.9.9.9 failed" in line
    assert "my-id" in line


async def test_a_broker_that_is_away_is_not_described_to_callers(
    world: World, upload: Upload
) -> None:
    world.log.trouble = INNER
    answer = await upload(world)
    assert answer.status_code == 503
    assert "10.1.2.3" not in answer.text


async def test_a_refusal_of_the_request_itself_keeps_its_words(
    world: World, upload: Upload
) -> None:
    answer = await upload(world, metadata="[1]")
    assert answer.json()["detail"] != ERRORS["invalid_metadata"].title


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(
            UnavailableError("object_store_unavailable", INNER),
            "Object storage is away. ",
            id="a dependency that is away",
        ),
        pytest.param(
            KartotekaError("retries_exhausted", f"index_unavailable: {INNER}"),
            "index_unavailable: Qdrant is away. ",
            id="the last of many tries",
        ),
        pytest.param(
            KartotekaError("retries_exhausted", "timeout: longer than 60 s"),
            "timeout: longer than 60 s",
            id="a verdict after many tries",
        ),
        pytest.param(
            DocumentError("body_missing", f"object storage has no {INNER}"),
            "The uploaded body is no longer in object storage. ",
            id="a lost body",
        ),
        pytest.param(
            DocumentError("malformed", "page 3 has no content"), "page 3 has no content", id="ours"
        ),
    ],
)
def test_a_task_s_error_says_what_concerns_its_document(error: KartotekaError, said: str) -> None:
    words = public_words(error.code, error.message)
    assert words.startswith(said)
    assert "10." not in words


def test_a_code_of_a_later_release_is_not_trusted_with_its_words() -> None:
    assert "10." not in public_words("brand_new", INNER)
