"""Reindex on the real stack: real Kafka, real processes, by HTTP as a caller does it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kartoteka_testkit.stack import Stack, StackClient

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

_CABINET = 1
_DOCUMENTS = 12


async def _reindex(client: StackClient, **body: Any) -> dict[str, Any]:
    """Request a run and return its task as it ended."""
    answer = await client.http.post(f"/rag/index/{_CABINET}", json=body)
    assert answer.status_code == 202, answer.text
    return await client.ended(answer.json()["task_id"], within=120)


def _run(task: dict[str, Any]) -> dict[str, Any]:
    run: dict[str, Any] = task["result"]
    return run


async def _plan(client: StackClient) -> dict[str, Any]:
    answer = await client.http.get(f"/rag/index/{_CABINET}/plan", params={"mode": "changed"})
    assert answer.status_code == 200, answer.text
    plan: dict[str, Any] = answer.json()
    return plan


async def _documents(client: StackClient) -> dict[str, dict[str, Any]]:
    answer = await client.http.get(f"/rag/cabinets/{_CABINET}/documents", params={"limit": 100})
    assert answer.status_code == 200, answer.text
    return {each["external_id"]: each for each in answer.json()["documents"]}


async def test_another_chunker_makes_every_document_anew_and_nothing_twice(
    tmp_path: Path,
) -> None:
    async with Stack(tmp_path) as stack:
        client = stack.client
        text = " ".join(f"Sentence number {n} tells of walnuts." for n in range(60))
        accepted = [
            await client.accepted(f"{n}.txt", f"Document {n}. {text}".encode())
            for n in range(_DOCUMENTS)
        ]
        for each in accepted:
            assert (await client.ended(each["task_id"]))["status"] == "succeeded"
        before = await _documents(client)
        assert len(before) == _DOCUMENTS
        nothing = await _reindex(client)
        assert nothing["status"] == "unchanged", nothing
        assert _run(nothing)["counts"]["unchanged"] == _DOCUMENTS

        await asyncio.to_thread(stack.embedders[0].stop)
        stack.embedders[0].env["CHUNK_MAX_TOKENS"] = "64"
        await stack.start_embedder(0)
        plan = await _plan(client)
        assert plan["total"] == _DOCUMENTS, plan
        assert plan["counts"]["stale"] == _DOCUMENTS
        done = await _reindex(client)
        assert done["status"] == "succeeded", done
        run = _run(done)
        assert (run["success"], run["total"], run["errors"]) == (_DOCUMENTS, _DOCUMENTS, [])
        after = await _documents(client)
        assert after.keys() == before.keys()
        for name, document in after.items():
            assert document["published"]["chunks"] > before[name]["published"]["chunks"], (
                before[name],
                document,
            )
        assert (await _reindex(client))["status"] == "unchanged"


async def test_a_folder_outside_becomes_documents_and_goes_with_its_files(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "in").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "in/c.txt"):
        (outside / name).write_text(f"walnut text of {name}")
    (outside / "left.log").write_text("walnut log")
    settings = {"SOURCE_ALLOWED_URLS": f"file://{outside}"}
    async with Stack(tmp_path / "stack", env=settings) as stack:
        client = stack.client
        source = {"name": "docs", "url": f"file://{outside}", "include": ["**/*.txt", "*.txt"]}
        put = await client.http.put(f"/rag/cabinets/{_CABINET}", json={"sources": [source]})
        assert put.status_code == 200, put.text
        first = await _reindex(client)
        assert first["status"] == "succeeded", first
        assert _run(first)["counts"]["new"] == 3
        names = {"docs://a.txt", "docs://b.txt", "docs://in/c.txt"}
        assert {hit["external_id"] for hit in await client.found("walnut")} == names

        (outside / "b.txt").write_text("walnut text that has changed")
        (outside / "a.txt").unlink()
        second = await _reindex(client)
        assert second["status"] == "succeeded", second
        counts = _run(second)["counts"]
        assert (counts["changed"], counts["vanished"], counts["unchanged"]) == (1, 1, 1)
        hits = await client.found("walnut")
        assert {hit["external_id"] for hit in hits} == names - {"docs://a.txt"}
        assert any("has changed" in hit["text"] for hit in hits)

        outside.rename(tmp_path / "unmounted")
        outside.mkdir()
        refused = await _reindex(client)
        assert (refused["status"], refused["error"]["code"]) == ("failed", "vanish_guard")
        outside.rmdir()
        refused = await _reindex(client)
        assert (refused["status"], refused["error"]["code"]) == ("failed", "source_unavailable")
        assert len(await client.found("walnut")) == 2


async def _texts(client: StackClient) -> dict[str, frozenset[str]]:
    """Return all chunks of each document, as one answer shows them."""
    chunks: dict[str, set[str]] = {}
    for hit in await client.found("walnuts", top_k=100):
        chunks.setdefault(hit["external_id"], set()).add(hit["text"])
    return {name: frozenset(texts) for name, texts in chunks.items()}


async def _rolled(stack: Stack, n: int) -> None:
    """Replace a worker by one of a release that cuts documents otherwise."""
    await asyncio.to_thread(stack.embedders[n].stop)
    stack.embedders[n].env["CHUNK_MAX_TOKENS"] = "64"
    await stack.start_embedder(n)


async def test_documents_flip_whole_while_old_and_new_workers_run_side_by_side(
    tmp_path: Path,
) -> None:
    async with Stack(tmp_path, embedders=2) as stack:
        client = stack.client
        for n in range(_DOCUMENTS):
            text = " ".join(f"Line {line} of {n} tells of walnuts." for line in range(20))
            accepted = await client.accepted(f"{n}.txt", text.encode())
            assert (await client.ended(accepted["task_id"]))["status"] == "succeeded"
        old = await _texts(client)
        assert len(old) == _DOCUMENTS

        await _rolled(stack, 1)
        seen: list[dict[str, frozenset[str]]] = []

        async def look() -> None:
            while True:
                seen.append(await _texts(client))

        looking = asyncio.create_task(look())
        try:
            # By mode, since whichever worker plans takes its own way of cutting for the right one.
            side_by_side = await _reindex(client, mode="full")
            await _rolled(stack, 0)
            rest = await _reindex(client)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        assert (side_by_side["status"], _run(side_by_side)["success"]) == ("succeeded", _DOCUMENTS)
        assert rest["status"] in {"succeeded", "unchanged"}
        new = await _texts(client)
        assert new.keys() == old.keys()
        assert all(len(new[name]) > len(old[name]) for name in old), (old, new)
        assert len(seen) > 3
        for answer in seen:
            assert answer.keys() == old.keys()
            for name, texts in answer.items():
                assert texts in (old[name], new[name]), name
        assert (await _reindex(client))["status"] == "unchanged"
