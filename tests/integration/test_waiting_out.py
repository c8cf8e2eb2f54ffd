"""Outages under load burn nothing; one object that nobody may read holds up nobody else."""

import asyncio
from pathlib import Path

import pytest
from worker_view import metric

from kartoteka_testkit.job_stage import until
from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

_OUTAGE_SECONDS = 30


async def test_an_outage_of_qdrant_stops_admission_and_burns_no_attempt(tmp_path: Path) -> None:
    env = {"WORKER_MAX_RUNNING": "4", "WORKER_RESERVED_INTERACTIVE": "1", "RETRY_MAX": "0"}
    async with Stack(tmp_path, env=env) as stack:
        client = stack.client
        first = await client.accepted("first.txt", b"This is the first one.\n")
        await client.ended(first["task_id"])
        stack.qdrant.process.kill()
        during = [await client.accepted(f"{n}.txt", f"Text {n}.\n".encode()) for n in range(8)]
        is_away = 'outage{dependency="index"}'

        async def is_known() -> bool:
            return await metric(stack, is_away) == 1

        await until(is_known, seconds=30)
        begun = await metric(stack, "deliveries_total")
        during += [await client.accepted(f"l{n}.txt", f"Late {n}.\n".encode()) for n in range(20)]
        await asyncio.sleep(_OUTAGE_SECONDS)
        assert await metric(stack, "deliveries_total") == begun
        stack.qdrant.start()
        for task in during:
            ended = await client.ended(task["task_id"], within=60)
            assert (ended["status"], ended["attempt"]) == ("succeeded", 0)
        assert await metric(stack, "retries_total") == 0
        assert await metric(stack, is_away) == 0
        log = stack.embedders[0].log.read_text()
        assert (log.count("outage_began"), log.count("outage_ended")) == (1, 1)


async def test_one_body_that_nobody_may_read_ends_in_the_dead_letters_and_others_go_on(
    tmp_path: Path,
) -> None:
    env = {"KAFKA_JOB_PARTITIONS": "1", "RETRY_MAX": "2", "RETRY_BASE_SECONDS": "0.5"}
    async with Stack(tmp_path, waiting=1, env=env) as stack:
        client = stack.client
        pinned = await client.accepted("pinned.txt", b"This cannot be read.\n")
        _forbid(tmp_path, pinned["task_id"])
        others = [await client.accepted(f"{n}.txt", f"Text {n}.\n".encode()) for n in range(20)]
        await stack.start_embedder(0)
        for task in others:
            assert (await client.ended(task["task_id"]))["status"] == "succeeded"
        ended = await client.ended(pinned["task_id"])
        assert (ended["status"], ended["attempt"]) == ("failed", 2)
        assert ended["error"]["code"] == "retries_exhausted"
        assert "object_store_unavailable" in ended["error"]["message"]
        listed = await client.http.get("/rag/dlq", params={"reason": "retries_exhausted"})
        assert [letter["task_id"] for letter in listed.json()["letters"]] == [pinned["task_id"]]
        assert "outage_began" not in stack.embedders[0].log.read_text()


def _forbid(folder: Path, task_id: str) -> None:
    """Make a body one that nobody can read, whoever asks: a link that leads to itself."""
    (body,) = folder.glob(f"objects/**/bodies/*/{task_id}")
    body.unlink()
    body.symlink_to(body.name)
