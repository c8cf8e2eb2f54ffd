"""Cancelling on the real stack: while a task waits, is read, is tried again, or is nearly done."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from calls import chunks_of, decision
from worker_view import manifest

from kartoteka_testkit.fault_proxy import FaultProxy
from kartoteka_testkit.job_stage import until
from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A stack whose worker, not started yet, makes its first retry after a minute."""
    env = {"RETRY_BASE_SECONDS": "60", "PARSER_CHILDREN": "1"}
    async with Stack(tmp_path, waiting=1, env=env) as running:
        yield running


def _body(stack: Stack, task_id: str) -> Path:
    (body,) = stack.folder.glob(f"objects/**/bodies/*/{task_id}")
    return body


async def _cancel(stack: Stack, task_id: str) -> None:
    answer = await stack.client.http.delete(f"/rag/task/{task_id}")
    assert answer.status_code == 202, answer.text


async def _end(stack: Stack, task_id: str) -> str:
    ended: str = (await stack.client.ended(task_id))["status"]
    return ended


async def test_a_task_that_waits_while_no_worker_runs_is_cancelled_by_the_next_one(
    stack: Stack,
) -> None:
    client = stack.client
    gone = await client.accepted("gone.txt", b"This is about agate.\n")
    kept = await client.accepted("kept.txt", b"This is about beryl.\n")
    await _cancel(stack, gone["task_id"])
    await stack.start_embedder(0)
    assert await _end(stack, gone["task_id"]) == "cancelled"
    assert await _end(stack, kept["task_id"]) == "succeeded"
    assert [hit["document_id"] for hit in await client.found("agate")] == [kept["document_id"]]
    assert (await manifest(stack, gone["document_id"]))["outcome"] == "cancelled"
    late = await client.http.delete(f"/rag/task/{kept['task_id']}")
    assert (late.status_code, late.json()["code"]) == (409, "task_ended")


async def test_the_process_that_reads_a_cancelled_document_is_killed(stack: Stack) -> None:
    client = stack.client
    await stack.start_embedder(0)
    words = " ".join(f"word{n}" for n in range(20_000))
    body = "\n\n".join(f"{words}." for _ in range(80)).encode()
    task = await client.accepted("long.txt", body)

    async def is_parsing() -> bool:
        found = await client.task(task["task_id"])
        return bool(found["stage"] == "parsing")

    await until(is_parsing, seconds=60, every=0.02)
    parsers = _children(stack.embedders[0].process.pid)
    await _cancel(stack, task["task_id"])
    assert await _end(stack, task["task_id"]) == "cancelled"
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in parsers))
    assert (await manifest(stack, task["document_id"])).get("starts") is None
    again = await client.accepted("next.txt", b"This is about chert.\n")
    assert await _end(stack, again["task_id"]) == "succeeded"


async def test_a_retry_that_is_held_is_cancelled_at_once_and_for_good(stack: Stack) -> None:
    client = stack.client
    task = await client.accepted("a.txt", b"This is about diorite.\n")
    body = _body(stack, task["task_id"])
    text = body.read_bytes()
    body.unlink()
    body.symlink_to(body.name)  # a loop: nobody can read it, whoever asks
    await stack.start_embedder(0)

    async def is_retrying() -> bool:
        found = await client.task(task["task_id"])
        return bool(found["status"] == "retrying")

    await until(is_retrying, seconds=30)
    shown = await client.task(task["task_id"])
    assert shown["next_attempt_at"] is not None
    assert shown["error"]["code"] == "object_store_unavailable"
    body.unlink()
    body.write_bytes(text)
    await _cancel(stack, task["task_id"])
    ended = await client.ended(task["task_id"], within=20)
    assert ended["status"] == "cancelled"
    assert await client.found("diorite") == []


async def test_a_cancellation_that_a_killed_worker_had_is_done_by_the_next_one(
    tmp_path: Path,
) -> None:
    stack = Stack(tmp_path)
    async with FaultProxy(stack.qdrant_url) as proxy:
        stack.embedders[0].env["QDRANT_URL"] = proxy.url
        async with stack:
            gate = proxy.hold_before(chunks_of("epidote"))
            task = await stack.client.accepted("a.txt", b"This is about epidote.\n")
            await asyncio.wait_for(gate.reached.wait(), 30)
            deciding = proxy.hold_before(decision)
            await _cancel(stack, task["task_id"])
            await asyncio.wait_for(deciding.reached.wait(), 30)
            stack.embedders[0].process.kill()
            deciding.match = gate.match = lambda *_call: False
            await stack.start_embedder(0)
            assert await _end(stack, task["task_id"]) == "cancelled"
            # Both writes that the dead worker had begun arrive late, chunks first.
            gate.opened.set()
            deciding.opened.set()
            await asyncio.sleep(0.5)
            assert await stack.client.found("epidote") == []
            assert (await stack.client.task(task["task_id"]))["status"] == "cancelled"
            found = await manifest(stack, task["document_id"])
            assert (found["outcome"], found.get("published")) == ("cancelled", None)


async def test_a_decision_to_publish_that_comes_after_the_cancellation_never_wins(
    tmp_path: Path,
) -> None:
    stack = Stack(tmp_path)
    async with FaultProxy(stack.qdrant_url) as proxy:
        stack.embedders[0].env["QDRANT_URL"] = proxy.url
        async with stack:
            publishing = proxy.hold_before(
                lambda *call: decision(*call) and b'"published"' in call[2]
            )
            task = await stack.client.accepted("a.txt", b"This is about fluorite.\n")
            await asyncio.wait_for(publishing.reached.wait(), 30)
            publishing.match = lambda *_call: False
            await _cancel(stack, task["task_id"])
            assert await _end(stack, task["task_id"]) == "cancelled"
            publishing.opened.set()
            await asyncio.sleep(0.5)
            assert await stack.client.found("fluorite") == []
            assert (await manifest(stack, task["document_id"]))["outcome"] == "cancelled"


def _children(pid: int) -> set[int]:
    """Return the processes below one, without those that only start others."""
    below: set[int] = set()
    for task in Path("/proc").glob("[0-9]*"):
        try:
            fields = (task / "stat").read_text().rpartition(") ")[2].split()
            name = (task / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and b"resource_tracker" not in name:
            below.add(int(task.name))
    return below
