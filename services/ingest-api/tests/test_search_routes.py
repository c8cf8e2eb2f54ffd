"""``POST /rag/search``."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from reading_world import UNKNOWN, World, reading_world

from ingest_api.domain.access import Scope
from kartoteka_testkit.index_cases import Case, cabinet


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with reading_world(tmp_path) as served:
        yield served


async def test_a_search_answers_with_hits_of_its_cabinet_only(world: World) -> None:
    await Case(world.index, cabinet(7), "mine").publish(1000)
    await Case(world.index, cabinet(8), "theirs").publish(1000)
    answer = await world.search({"cabinet_id": 7, "query": "zero", "top_k": 2}, "seven")
    assert answer.status_code == 200
    hits = answer.json()["hits"]
    assert hits[0]["text"] == "mine 1000.0 #0"
    assert {hit["external_id"] for hit in hits} == {"mine"}
    assert set(hits[0]) == {
        "text",
        "score",
        "document_id",
        "external_id",
        "filename",
        "version",
        "page",
        "start",
        "end",
        "metadata",
    }
    foreign = await world.search({"cabinet_id": 8, "query": "zero"}, "seven")
    assert foreign.status_code == 403


async def test_a_search_is_narrowed_by_document_name_metadata_and_score(world: World) -> None:
    one, two = (Case(world.index, cabinet(7), name) for name in ("one", "two"))
    await one.publish(1000, metadata={"language": "en"})
    await two.publish(1000, metadata={"language": "ru"})

    async def found(**body: Any) -> set[str]:
        answer = await world.search({"cabinet_id": 7, "query": "zero", **body})
        assert answer.status_code == 200, answer.text
        return {hit["external_id"] for hit in answer.json()["hits"]}

    assert await found() == {"one", "two"}
    assert await found(filter={"document_id": one.document_id.upper()}) == {"one"}
    assert await found(filter={"external_ids": ["two"]}) == {"two"}
    assert await found(filter={"metadata": {"language": ["ru", "de"]}}) == {"two"}
    assert await found(filter={"external_id": "two", "metadata": {"language": "en"}}) == set()
    answer = await world.search({"cabinet_id": 7, "query": "zero", "score_threshold": 0.9})
    assert {hit["start"] for hit in answer.json()["hits"]} == {0}


@pytest.mark.parametrize(
    "change",
    [
        {"cabinet_id": 0},
        {"cabinet_id": None},
        {"cabinet_id": True},
        {"query": " "},
        {"query": "ä" * 5000},
        {"top_k": 0},
        {"top_k": 101},
        {"score_threshold": 2},
        {"top-k": 5},
        {"filter": {"cabinet_id": 8}},
        {"filter": {"document_id": "x"}},
        {"filter": {"metadata": {"a": {"b": 1}}}},
        {"filter": {"document_ids": [UNKNOWN] * 101}},
    ],
    ids=str,
)
async def test_a_search_refuses_what_it_does_not_know(world: World, change: dict[str, Any]) -> None:
    answer = await world.search({"cabinet_id": 7, "query": "x", **change})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b'{"cabinet_id":7,"query":"\\ud800"}',
        b'{"cabinet_id":7,"query":"a","filter":{"metadata":{"k":"\\ud800"}}}',
        b'{"cabinet_id":7,"query":"a","filter":{"metadata":{"k":["a","\\ud800"]}}}',
        b"[]",
        b"{",
        b'{"cabinet_id":7,"query":"\xff"}',
    ],
)
async def test_a_search_survives_bytes_that_are_no_request(world: World, body: bytes) -> None:
    answer = await world.client.post(
        "/rag/search",
        content=body,
        headers={"X-API-Key": "all", "Content-Type": "application/json"},
    )
    assert answer.status_code == 422


async def test_a_search_without_an_embedder_says_so(world: World) -> None:
    world.embedder.is_away = True
    answer = await world.search({"cabinet_id": 7, "query": "x"})
    assert (answer.status_code, answer.json()["code"]) == (503, "embeddings_unavailable")
    assert "Retry-After" in answer.headers


async def test_searching_takes_its_own_scope(world: World) -> None:
    world.keys.add("reader", 7, scopes=[Scope.READ])
    assert (await world.search({"cabinet_id": 7, "query": "x"}, "reader")).status_code == 403
