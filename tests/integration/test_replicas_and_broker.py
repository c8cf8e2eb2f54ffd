"""Two replicas of the API, and a broker that goes away under uploads."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from kartoteka_testkit.stack import Stack, StackClient

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

OUTAGE_SECONDS = 60


async def test_another_replica_knows_a_task_right_after_its_202(tmp_path: Path) -> None:
    async with Stack(tmp_path, apis=2) as stack:
        writer, reader = stack.clients
        for n in range(40):
            task = await writer.accepted(f"{n}.txt", f"text {n}".encode())
            answer = await reader.http.get(f"/rag/task/{task['task_id']}")
            assert answer.status_code == 200, answer.text
        unknown = await reader.http.get("/rag/task/0198c0de-0000-7000-8000-000000000001")
        assert unknown.status_code == 404
        assert unknown.json()["code"] == "not_found"


async def _post_until(client: StackClient, end: float) -> tuple[list[str], list[float]]:
    """Upload until ``end``; return what was accepted, and the seconds of each refusal."""
    accepted: list[str] = []
    refusals: list[float] = []
    n = 0
    while time.monotonic() < end:
        begun = time.monotonic()
        answer = await client.upload(f"{id(accepted)}-{n}.txt", f"outage text {n}".encode())
        n += 1
        if answer.status_code == httpx.codes.ACCEPTED:
            accepted.append(answer.json()["task_id"])
        else:
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            assert answer.json()["code"] == "event_log_unavailable"
            assert int(answer.headers["Retry-After"]) >= 1
            refusals.append(time.monotonic() - begun)
        await asyncio.sleep(0.2)
    return accepted, refusals


async def test_every_202_around_a_broker_outage_ends_up_searchable(tmp_path: Path) -> None:
    async with Stack(tmp_path) as stack:
        client = stack.client
        posting = [
            asyncio.create_task(_post_until(client, time.monotonic() + OUTAGE_SECONDS + 15))
            for _ in range(3)
        ]
        await asyncio.sleep(3)
        await stack.broker.stop()
        await asyncio.sleep(OUTAGE_SECONDS)
        await stack.broker.start()
        results = await asyncio.gather(*posting)
        accepted = [task for tasks, _ in results for task in tasks]
        refusals = [seconds for _, waits in results for seconds in waits]
        assert accepted
        assert refusals
        after = await client.accepted("after.txt", b"the broker is back")
        for task in [*accepted, after["task_id"]]:
            ended = await client.ended(task, within=120)
            assert ended["status"] in {"succeeded", "unchanged"}, ended
            document = await client.http.get(f"/rag/documents/{ended['document_id']}")
            assert document.json()["state"] == "indexed"
        assert stack.apis[0].process.is_running
        assert stack.embedders[0].process.is_running
