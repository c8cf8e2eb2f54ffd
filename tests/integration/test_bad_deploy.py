"""A deployment that fails every document stops itself, and a replay mends what it did."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

_DOCUMENTS = 60
_LIMIT = 7


async def test_a_worker_that_fails_everything_stops_and_nothing_is_lost(tmp_path: Path) -> None:
    missing = tmp_path / "scratch"
    missing.mkdir()
    env = {
        "WORKER_MAX_DEAD_LETTERS_IN_A_ROW": str(_LIMIT),
        "RETRY_MAX": "1",
        "RETRY_BASE_SECONDS": "0.5",
    }
    async with Stack(tmp_path, waiting=1, env=env) as stack:
        worker = stack.embedders[0]
        worker.env["TMPDIR"] = str(missing)
        await stack.start_embedder(0)
        shutil.rmtree(missing)  # what the deployment broke: no document can be fetched
        tasks = [
            await stack.client.accepted(f"{n}.txt", f"This is number{n}.\n".encode())
            for n in range(_DOCUMENTS)
        ]
        assert await asyncio.to_thread(worker.process.wait, 60) == 1
        log = worker.log.read_text()
        assert "dead_letter_flood" in log
        assert "mend it or roll back" in log
        letters = await _letters(stack, _LIMIT)
        assert {letter["reason"] for letter in letters} == {"retries_exhausted"}
        assert "FileNotFoundError" in letters[0]["message"]

        del worker.env["TMPDIR"]
        await stack.start_embedder(0)
        dead = {letter["task_id"] for letter in letters}
        for task in tasks:
            ended = await stack.client.ended(task["task_id"])
            is_dead = task["task_id"] in dead
            assert ended["status"] == ("failed" if is_dead else "succeeded")
        assert len(await _letters(stack, _LIMIT)) == _LIMIT

        asked = {"ids": [letter["id"] for letter in letters]}
        answer = await stack.client.http.post("/rag/dlq/replay", json=asked)
        for replayed in answer.json()["results"]:
            ended = await stack.client.ended(replayed["task_id"])
            assert ended["status"] == "succeeded"
        for n in range(_DOCUMENTS):
            hits = await stack.client.found(f"number{n}", top_k=3)
            assert any(f"number{n}." in hit["text"] for hit in hits), n


async def _letters(stack: Stack, expected: int) -> list[dict[str, Any]]:
    """Return the dead letters, once the view has all that are expected."""
    async with asyncio.timeout(30):
        while True:
            answer = await stack.client.http.get("/rag/dlq", params={"limit": "100"})
            found: list[dict[str, Any]] = answer.json()["letters"]
            if len(found) >= expected:
                return found
            await asyncio.sleep(0.1)
