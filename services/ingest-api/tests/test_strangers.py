"""What the API does not know is refused: a misspelt name must not silently do something else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from reading_world import World as ReadingWorld
from reading_world import reading_world

World = Any  # the fixture's class; test modules cannot import conftest
Upload = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def reading(tmp_path: Path) -> AsyncIterator[ReadingWorld]:
    async with reading_world(tmp_path / "reading") as served:
        yield served


async def test_an_unknown_field_is_refused_by_its_name_and_leaves_nothing(
    world: World, upload: Upload
) -> None:
    answer = await upload(world, externalid="contracts/17")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")
    assert "'externalid'; there are external_id, cabinet_id" in answer.json()["detail"]
    assert await world.stored() == {}


async def test_an_unknown_field_behind_the_file_leaves_nothing_either(world: World) -> None:
    parts = [
        ("cabinet_id", (None, b"1")),
        ("file", ("a.txt", b"hello")),
        ("meta" * 100, (None, b"{}")),
    ]
    answer = await world.client.post("/rag/add-document", files=parts)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")
    assert len(answer.json()["detail"]) < 200
    assert await world.stored() == {}


async def test_a_batch_refuses_unknown_fields_too(world: World) -> None:
    answer = await world.client.post(
        "/rag/add-documents-batch",
        data={"cabinet_id": "1", "meta": "{}"},
        files=[("files", ("a.txt", b"x"))],
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")
    assert "external_id" not in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/rag/add-document", "/rag/add-documents-batch"])
async def test_an_upload_s_unknown_query_parameter_is_refused(world: World, path: str) -> None:
    answer = await world.client.post(
        f"{path}?cabinet_id=1&external_id=x", files={"file": ("a.txt", b"x")}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"] == "unknown query parameter; there are cabinet_id"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"topk": 3}, id="a field"),
        pytest.param({"filter": {"external_idd": "x"}}, id="a field of the filter"),
    ],
)
async def test_an_unknown_field_of_a_search_is_refused(
    reading: ReadingWorld, body: dict[str, Any]
) -> None:
    answer = await reading.search({"cabinet_id": 7, "query": "zero", **body})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "Extra inputs are not permitted" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/rag/tasks", "/rag/cabinets/7/documents"])
async def test_an_unknown_query_parameter_of_a_list_is_refused(
    reading: ReadingWorld, path: str
) -> None:
    answer = await reading.get(path, statuss="failed")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_search_takes_nothing_from_the_query(reading: ReadingWorld) -> None:
    answer = await reading.client.post(
        "/rag/search?top_k=1",
        json={"cabinet_id": 7, "query": "zero"},
        headers={"X-API-Key": "all"},
    )
    assert answer.json()["detail"] == "unknown query parameter; this call takes none"
