"""Workers are killed, stopped and joined at the worst moments: nothing is lost or mixed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from calls import chunks_of, decision

from kartoteka_testkit.fault_proxy import FaultProxy
from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A stack whose first worker speaks to Qdrant through a proxy; the second is not started."""

    stack: Stack
    proxy: FaultProxy


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    stack = Stack(tmp_path, embedders=2, waiting=1)
    async with FaultProxy(stack.qdrant_url) as proxy:
        stack.embedders[0].env["QDRANT_URL"] = proxy.url
        async with stack:
            yield Held(stack=stack, proxy=proxy)


def _text(word: str) -> bytes:
    return f"This is about {word} and about nothing else.\n".encode()


async def _published_once(stack: Stack, word: str) -> None:
    hits = [hit for hit in await stack.client.found(word) if word in hit["text"]]
    assert len(hits) == 1, hits


async def test_out_of_order_completion_then_kill_loses_nothing(held: Held) -> None:
    gate = held.proxy.hold_before(chunks_of("ammonite"))
    client = held.stack.client
    head = await client.accepted("head.txt", _text("ammonite"))
    await asyncio.wait_for(gate.reached.wait(), 30)
    later = [await client.accepted(f"later-{n}.txt", _text(f"later{n}")) for n in range(30)]
    for task in later:
        assert (await client.ended(task["task_id"]))["status"] == "succeeded"
    held.stack.embedders[0].process.kill()
    gate.opened.set()
    await held.stack.start_embedder(0)
    assert (await client.ended(head["task_id"]))["status"] == "succeeded"
    await _published_once(held.stack, "ammonite")


async def test_sigterm_in_mid_document_finishes_it_and_exits_clean(held: Held) -> None:
    gate = held.proxy.hold_before(chunks_of("basalt"))
    client = held.stack.client
    task = await client.accepted("a.txt", _text("basalt"))
    await asyncio.wait_for(gate.reached.wait(), 30)
    worker = held.stack.embedders[0].process
    stopping = asyncio.create_task(asyncio.to_thread(worker.terminate, 40))
    await asyncio.sleep(1)  # the worker must get the signal while the document is under way
    gate.opened.set()
    await stopping
    assert worker.exit_code == 0
    ended = await client.ended(task["task_id"])
    assert (ended["status"], ended["attempt"]) == ("succeeded", 0)
    log = held.stack.embedders[0].log.read_text()
    assert "Traceback" not in log


async def test_a_second_worker_joins_while_a_long_document_runs(held: Held) -> None:
    gate = held.proxy.hold_before(chunks_of("cinnabar"))
    client = held.stack.client
    long = await client.accepted("long.txt", _text("cinnabar"))
    await asyncio.wait_for(gate.reached.wait(), 30)
    await held.stack.start_embedder(1)
    others = [await client.accepted(f"other-{n}.txt", _text(f"other{n}")) for n in range(24)]
    async with asyncio.timeout(10):
        for task in others:
            assert (await client.ended(task["task_id"]))["status"] == "succeeded"
    assert (await client.task(long["task_id"]))["status"] == "running"
    gate.opened.set()
    assert (await client.ended(long["task_id"]))["status"] == "succeeded"
    await _published_once(held.stack, "cinnabar")


async def test_kill_between_points_and_manifest_is_repaired(held: Held) -> None:
    gate = held.proxy.hold_after(chunks_of("dolomite"))
    client = held.stack.client
    task = await client.accepted("a.txt", _text("dolomite"))
    await asyncio.wait_for(gate.reached.wait(), 30)
    held.stack.embedders[0].process.kill()
    gate.opened.set()
    await held.stack.start_embedder(0)
    assert (await client.ended(task["task_id"]))["status"] == "succeeded"
    await _published_once(held.stack, "dolomite")


async def test_kill_between_manifest_and_status_is_repaired(held: Held) -> None:
    client = held.stack.client
    gate = held.proxy.hold_after(decision)
    task = await client.accepted("a.txt", _text("emerald"))
    await asyncio.wait_for(gate.reached.wait(), 30)
    held.stack.embedders[0].process.kill()
    gate.opened.set()
    assert (await client.task(task["task_id"]))["status"] in {"queued", "running"}
    await held.stack.start_embedder(0)
    ended = await client.ended(task["task_id"])
    assert ended["status"] == "succeeded"
    assert ended["result"]["chunks"] == 1
    await _published_once(held.stack, "emerald")


async def test_a_worker_that_wakes_after_a_newer_version_changes_nothing(held: Held) -> None:
    client = held.stack.client
    first = await client.accepted("a.txt", _text("feldspar"))
    assert (await client.ended(first["task_id"]))["status"] == "succeeded"
    gate = held.proxy.hold_before(chunks_of("garnet"))
    stale = await client.accepted("a.txt", _text("garnet"))
    await asyncio.wait_for(gate.reached.wait(), 30)
    held.stack.embedders[0].process.suspend()
    await held.stack.start_embedder(1)
    # The second worker takes over after the session timeout, and publishes the stale version
    # first; only then does a newer one come.
    newest = await client.accepted("a.txt", _text("halite"))
    assert (await client.ended(newest["task_id"]))["status"] == "succeeded"
    held.stack.embedders[0].process.resume()
    gate.opened.set()
    assert (await client.ended(stale["task_id"]))["status"] in {"succeeded", "superseded"}
    document = await client.http.get(f"/rag/documents/{newest['document_id']}")
    assert document.json()["version"] == newest["version"]
    await _published_once(held.stack, "halite")
    for word in ("feldspar", "garnet"):
        assert [hit for hit in await client.found(word) if word in hit["text"]] == []
