"""Tries that begin and never end: a document that takes its worker down is given up in the end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from calls import chunks_of
from worker_view import manifest

from kartoteka_testkit.fault_proxy import FaultProxy
from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A stack whose worker speaks to Qdrant through a proxy, and drains in a second."""

    stack: Stack
    proxy: FaultProxy


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    stack = Stack(tmp_path, waiting=1, env={"WORKER_DRAIN_SECONDS": "1"})
    async with FaultProxy(stack.qdrant_url) as proxy:
        stack.embedders[0].env["QDRANT_URL"] = proxy.url
        async with stack:
            yield Held(stack=stack, proxy=proxy)


async def test_a_document_that_ends_its_worker_five_times_is_poison(held: Held) -> None:
    stack = held.stack
    # Wherever this document's chunks are about to be written, the process dies.
    trap = held.proxy.hold_before(chunks_of("galena"))
    task = await stack.client.accepted("a.txt", b"This is about galena.\n")
    other = await stack.client.accepted("b.txt", b"This is about halite.\n")
    for begun in range(1, 6):
        trap.reached.clear()
        await stack.start_embedder(0)
        await asyncio.wait_for(trap.reached.wait(), 60)
        starts = (await manifest(stack, task["document_id"]))["starts"]
        assert starts["begun"] == begun
        stack.embedders[0].process.kill()
    await stack.start_embedder(0)
    ended = await stack.client.ended(task["task_id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "poison")
    assert (await stack.client.ended(other["task_id"]))["status"] == "succeeded"
    listed = await stack.client.http.get("/rag/dlq", params={"reason": "poison"})
    assert [letter["task_id"] for letter in listed.json()["letters"]] == [task["task_id"]]


async def test_a_worker_that_is_told_to_stop_takes_its_start_back(held: Held) -> None:
    stack = held.stack
    gate = held.proxy.hold_before(chunks_of("ilmenite"))
    task = await stack.client.accepted("a.txt", b"This is about ilmenite.\n")
    for _ in range(2):
        gate.reached.clear()
        await stack.start_embedder(0)
        await asyncio.wait_for(gate.reached.wait(), 60)
        assert (await manifest(stack, task["document_id"]))["starts"]["begun"] == 1
        worker = stack.embedders[0].process
        await asyncio.to_thread(worker.terminate, 40)
        assert worker.exit_code == 0
        assert (await manifest(stack, task["document_id"]))["starts"]["begun"] == 0
    gate.opened.set()
    await stack.start_embedder(0)
    assert (await stack.client.ended(task["task_id"]))["status"] == "succeeded"
