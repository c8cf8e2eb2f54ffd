"""Dead letters on the real stack: shown, replayed once their cause is gone, discarded."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

Json = dict[str, Any]
T = TypeVar("T")


async def until(ask: Callable[[], Awaitable[T | None]]) -> T:
    """Ask until there is an answer."""
    async with asyncio.timeout(30):
        while (found := await ask()) is None:  # noqa: ASYNC110 - another process is asked
            await asyncio.sleep(0.05)
        return found


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A stack whose worker is not started yet."""
    async with Stack(tmp_path, embedders=1, waiting=1) as running:
        yield running


async def command(stack: Stack, *arguments: str) -> tuple[int | None, str]:
    """Run ``python -m ingest_api`` as an operator of the stack does."""
    client = stack.client.http
    env = os.environ | {
        "API_URL": str(client.base_url),
        "API_KEY": client.headers["X-API-Key"],
        "API_KEYS_FILE": str(stack.folder / "api-keys.json"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingest_api", *arguments, env=env, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def letters(stack: Stack, **query: str) -> list[Json]:
    answer = await stack.client.http.get("/rag/dlq", params=query)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["letters"]
    return found


async def letter_of(stack: Stack, task_id: str) -> Json:
    """Wait for a task's letter: a task may be seen to have ended before its letter is."""

    async def found() -> Json | None:
        return next((one for one in await letters(stack) if one["task_id"] == task_id), None)

    return await until(found)


async def resolve(stack: Stack, action: str, letter: str, *, dry_run: bool = False) -> Json:
    """Replay or discard one letter, and return what became of it."""
    body = {"ids": [letter], "dry_run": dry_run}
    answer = await stack.client.http.post(f"/rag/dlq/{action}", json=body)
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["results"]
    return dict(result)


async def test_what_failed_for_good_is_shown_and_succeeds_once_its_cause_is_gone(
    stack: Stack,
) -> None:
    client = stack.client
    task = await client.accepted("a.txt", b"This is about amethyst.\n")
    (body,) = (path for path in stack.folder.glob("objects/**/bodies/*/*") if path.is_file())
    elsewhere = body.rename(stack.folder / "body")
    await stack.start_embedder(0)
    assert (await client.ended(task["task_id"]))["error"]["code"] == "body_missing"
    letter = await letter_of(stack, task["task_id"])
    assert letter["reason"] == "body_missing"
    assert (letter["cabinet_id"], letter["document_id"]) == (1, task["document_id"])
    assert (letter["stage"], letter["attempts"], letter["replays"]) == ("fetching", 1, 0)
    assert letter["origin"]["topic"] == "documents.interactive"
    assert datetime.fromisoformat(letter["first_failed_at"]) <= datetime.fromisoformat(
        letter["dead_at"]
    )
    raw = (await client.http.get(f"/rag/dlq/{letter['id']}")).json()
    assert json.loads(raw["value"])["task_id"] == task["task_id"]
    assert raw["headers"]["x-reason"] == "body_missing"

    # A replay while the cause is there dies again, and says so.
    again = await resolve(stack, "replay", letter["id"])
    assert (await client.ended(again["task_id"]))["status"] == "failed"
    second = await letter_of(stack, again["task_id"])
    assert second["replays"] == 1

    elsewhere.rename(body)
    dry = await resolve(stack, "replay", second["id"], dry_run=True)
    assert await letters(stack) == [second]
    assert (await client.http.get(f"/rag/task/{dry['task_id']}")).status_code == 404
    done = await resolve(stack, "replay", second["id"])
    assert done == dry
    ended = await client.ended(done["task_id"])
    assert (ended["status"], ended["replay_of"]) == ("succeeded", again["task_id"])
    assert [hit["document_id"] for hit in await client.found("amethyst")] == [task["document_id"]]
    assert (await client.task(task["task_id"]))["status"] == "failed"
    assert await letters(stack) == []
    refused = await resolve(stack, "replay", second["id"])
    assert refused["error"]["code"] == "dead_letter_resolved"
    assert refused["task_id"] == done["task_id"]


async def test_a_hostile_file_is_a_letter_that_only_its_cabinet_sees(stack: Stack) -> None:
    client = stack.client
    await stack.start_embedder(0)
    task = await client.accepted("a.pdf", b"%PDF-1.7\nnothing that a PDF is made of\n")
    assert (await client.ended(task["task_id"]))["status"] == "failed"
    letter = await letter_of(stack, task["task_id"])
    assert (letter["reason"], letter["stage"]) == ("malformed", "parsing")
    scopes = ("--scope", "admin", "--scope", "read")
    _, created = await command(
        stack, "keys", "create", "--name", "other", *scopes, "--cabinet", "2"
    )
    headers = {"X-API-Key": created.strip()}
    async with httpx.AsyncClient(base_url=client.http.base_url, headers=headers) as other:

        async def listed() -> Json | None:
            answer = await other.get("/rag/dlq")
            return None if answer.status_code == 401 else dict(answer.json())

        assert (await until(listed))["letters"] == []
        foreign = await other.get(f"/rag/dlq/{letter['id']}")
        unknown = await other.get("/rag/dlq/0-999")
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json()["detail"] == unknown.json()["detail"]
        for action in ("replay", "discard"):
            answer = await other.post(f"/rag/dlq/{action}", json={"ids": [letter["id"]]})
            assert answer.json()["results"][0]["error"]["code"] == "not_found"
    status, shown = await command(stack, "dlq", "discard", "--reason", "malformed")
    assert (status, letter["id"] in shown) == (0, True)
    assert await letters(stack) == [letter]
    assert (await command(stack, "dlq", "discard", "--reason", "malformed", "--yes"))[0] == 0
    assert await letters(stack) == []
    (kept,) = await letters(stack, resolved="true")
    assert kept["resolution"] == {"kind": "discarded", "task_id": None}
    assert (await client.task(task["task_id"]))["status"] == "failed"


async def test_a_record_that_nobody_can_read_is_kept_raw_and_goes_back_unchanged(
    stack: Stack,
) -> None:
    await stack.start_embedder(0)
    producer = AIOKafkaProducer(bootstrap_servers=stack.broker.bootstrap_servers, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait("documents.interactive", b"\xffno event", key=b"1/nothing")
    finally:
        await producer.stop()

    async def first() -> Json | None:
        return next(iter(await letters(stack)), None)

    letter = await until(first)
    assert (letter["reason"], letter["stage"]) == ("event_malformed", "decoding")
    assert (letter["cabinet_id"], letter["task_id"]) == (1, None)
    raw = (await stack.client.http.get(f"/rag/dlq/{letter['id']}")).json()
    assert (raw["encoding"], raw["value"], raw["size"]) == ("base64", "/25vIGV2ZW50", 9)
    assert await resolve(stack, "replay", letter["id"]) == {
        "id": letter["id"],
        "task_id": None,
        "error": None,
    }

    async def second() -> Json | None:
        return next((one for one in await letters(stack) if one["id"] != letter["id"]), None)

    back = await until(second)
    assert back["origin"]["topic"] == letter["origin"]["topic"]
    assert back["origin"]["partition"] == letter["origin"]["partition"]
    assert back["origin"]["offset"] > letter["origin"]["offset"]
    assert (await stack.client.http.get(f"/rag/dlq/{back['id']}")).json()["value"] == raw["value"]
    (resolved,) = await letters(stack, resolved="true")
    assert resolved["id"] == letter["id"]
