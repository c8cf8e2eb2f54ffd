"""Two replicas as processes on one broker: whichever is asked, the answer is the same."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from ingest_api.adapters.key_file import create_key
from ingest_api.domain.access import Scope
from kartoteka_contracts.codec import encode
from kartoteka_contracts.events import DeletedCounts, IndexResult, TaskProgressed, TaskStatusChanged
from kartoteka_contracts.ids import CabinetId, TaskId
from kartoteka_contracts.tasks import Stage, TaskKind, TaskStatus
from kartoteka_contracts.topics import TOPICS
from kartoteka_runtime import topics_admin
from kartoteka_testkit.kafka_broker import KafkaBroker, running_broker
from kartoteka_testkit.ports import free_ports
from kartoteka_testkit.process import ServerProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

_STARTED_WITHIN = 60.0


@dataclass(kw_only=True)
class Replica:
    """One process."""

    process: ServerProcess
    client: httpx.AsyncClient

    async def ready(self) -> None:
        deadline = time.monotonic() + _STARTED_WITHIN
        while True:
            self.process.must_run()
            try:
                if (await self.client.get("/healthz/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                assert time.monotonic() < deadline
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)

    async def upload(self, name: str) -> str:
        answer = await self.client.post(
            "/rag/add-document",
            data={"cabinet_id": "1"},
            files={"file": (name, name.encode())},
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    async def ended(self, task_id: str) -> tuple[str, object]:
        """Wait for a delete's end; return it and what it removed."""
        deadline = time.monotonic() + 20
        while True:
            seen = (await self.client.get(f"/rag/task/{task_id}")).json()
            if seen["result"] is not None:
                return seen["status"], seen["result"]["deleted"]
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        asyncio.run(topics_admin.provision(broker.settings(), TOPICS))
        yield broker


@pytest.fixture
def processes() -> Iterator[list[ServerProcess]]:
    started: list[ServerProcess] = []
    yield started
    for process in started:
        process.terminate()


@pytest.fixture
async def replicas(
    tmp_path: Path, broker: KafkaBroker, processes: list[ServerProcess]
) -> AsyncIterator[tuple[Replica, Replica]]:
    keys = tmp_path / "keys.json"
    key = create_key(
        keys, name="test", scopes=list(Scope), cabinets=None, now=datetime(2026, 1, 1, tzinfo=UTC)
    )
    *ports, nobody = free_ports(3)
    pair: list[Replica] = []
    for n, port in enumerate(ports):
        env = {
            **os.environ,
            "API_PORT": str(port),
            "API_KEYS_FILE": str(keys),
            "OBJECT_STORE_URL": f"file://{tmp_path}/objects",
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "KAFKA_JOB_PARTITIONS": str(broker.settings().job_partitions),
            "QDRANT_URL": f"http://127.0.0.1:{nobody}",
            "EMBEDDINGS_URLS": f"http://127.0.0.1:{nobody}",
            "VIEW_PATH": str(tmp_path / f"view-{n}"),
            "VIEW_HEARTBEAT_SECONDS": "0.2",
        }
        process = ServerProcess(
            [sys.executable, "-m", "ingest_api", "serve"],
            log=tmp_path / f"api-{n}.log",
            cwd=tmp_path,
            env=env,
        )
        processes.append(process)
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"X-API-Key": key.text},
            timeout=30,
            trust_env=False,
        )
        pair.append(Replica(process=process, client=client))
    for replica in pair:
        await replica.ready()
    yield pair[0], pair[1]
    for replica in pair:
        await replica.client.aclose()


async def test_the_other_replica_knows_every_task_at_once(
    replicas: tuple[Replica, Replica],
) -> None:
    first, second = replicas

    async def write_here_read_there(n: int) -> str:
        here, there = (first, second) if n % 2 else (second, first)
        task_id = await here.upload(f"document-{n}.txt")
        seen = await asyncio.gather(
            there.client.get(f"/rag/task/{task_id}"), here.client.get(f"/rag/task/{task_id}")
        )
        assert [answer.status_code for answer in seen] == [200, 200]
        assert {answer.json()["status"] for answer in seen} == {"queued"}
        return task_id

    written: set[str] = set()
    for group in range(8):
        written |= set(
            await asyncio.gather(*(write_here_read_there(group * 8 + n) for n in range(8)))
        )
    listed = (await first.client.get("/rag/tasks", params={"limit": 500})).json()
    assert written <= {task["task_id"] for task in listed["tasks"]}


async def test_a_stream_on_one_replica_follows_a_task_of_the_other(
    replicas: tuple[Replica, Replica], broker: KafkaBroker
) -> None:
    first, second = replicas
    task_id = TaskId(await first.upload("followed.txt"))
    task = (await second.client.get(f"/rag/task/{task_id}")).json()
    accepted = datetime.fromisoformat(task["accepted_at"])
    worker = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    await worker.start()
    states: list[tuple[str, str | None]] = []
    try:
        path = f"/rag/task/{task_id}/events"
        async with asyncio.timeout(20), second.client.stream("GET", path) as stream:
            assert stream.status_code == 200
            async for line in stream.aiter_lines():
                if not line.startswith("data: "):
                    continue
                state = json.loads(line.removeprefix("data: "))
                states.append((state["status"], state["stage"]))
                if state["status"] == "queued":
                    progress = TaskProgressed(
                        task_id=task_id,
                        cabinet_id=CabinetId(1),
                        stage=Stage.EMBEDDING,
                        progress=0.5,
                        at=accepted,
                    )
                    await worker.send_and_wait(
                        "task.progress", encode(progress), key=task_id.encode()
                    )
                elif state["status"] == "running":
                    end = TaskStatusChanged(
                        task_id=task_id,
                        kind=TaskKind.INDEX,
                        status=TaskStatus.SUCCEEDED,
                        cabinet_id=CabinetId(1),
                        accepted_at=accepted,
                        at=datetime.now(UTC),
                    )
                    await worker.send_and_wait("task.status", encode(end), key=task_id.encode())
    finally:
        await worker.stop()
    assert states == [("queued", None), ("running", "embedding"), ("succeeded", None)]


async def test_a_hundred_requests_under_one_key_are_one_task_whichever_replica_dies(
    replicas: tuple[Replica, Replica],
) -> None:
    async def send(replica: Replica, content: bytes = b"text") -> httpx.Response:
        return await replica.client.post(
            "/rag/add-document",
            data={"cabinet_id": "1"},
            files={"file": ("once.txt", content)},
            headers={"Idempotency-Key": "key-1"},
        )

    answers = await asyncio.gather(*(send(replicas[n % 2]) for n in range(100)))
    assert {answer.status_code for answer in answers} == {202}, answers[0].text
    told = answers[0].json()
    assert all(answer.json() == told for answer in answers)
    first, second = replicas
    first.process.kill()
    again = await send(second)
    assert again.json() == told
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await send(second, b"other")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    seen = (await second.client.get(f"/rag/task/{told['task_id']}")).json()
    assert (seen["status"], seen["version"]) == ("queued", told["version"])
    listed = (await second.client.get("/rag/tasks", params={"limit": 500})).json()["tasks"]
    mine = [task for task in listed if task["document_id"] == told["document_id"]]
    assert [task["task_id"] for task in mine] == [told["task_id"]]


async def test_a_delete_asked_of_one_replica_empties_the_view_of_both(
    replicas: tuple[Replica, Replica], broker: KafkaBroker
) -> None:
    first, second = replicas
    task_id = await first.upload("doomed.txt")
    document = (await second.client.get(f"/rag/task/{task_id}")).json()["document_id"]
    cancelling = await second.client.delete(f"/rag/task/{task_id}")
    assert cancelling.status_code == 202, cancelling.text
    path = f"/rag/documents/{document}"
    # No Qdrant runs here: without the cabinet nobody could say whose the document is.
    assert (await second.client.delete(path)).status_code == 503
    answer = await second.client.delete(path, params={"cabinet_id": "1"})
    assert answer.status_code == 202, answer.text
    deleting = answer.json()
    for replica in replicas:
        seen = (await replica.client.get(f"/rag/task/{deleting['task_id']}")).json()
        assert (seen["kind"], seen["status"]) == ("delete", "queued")
    counts = DeletedCounts(documents=1, chunks=3, bodies=1)
    end = TaskStatusChanged(
        task_id=TaskId(deleting["task_id"]),
        kind=TaskKind.DELETE,
        status=TaskStatus.SUCCEEDED,
        cabinet_id=CabinetId(1),
        document_id=document,
        external_id="doomed.txt",
        version=deleting["version"],
        accepted_at=datetime.fromisoformat(seen["accepted_at"]),
        at=datetime.now(UTC),
        result=IndexResult(deleted=counts),
    )
    worker = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    await worker.start()
    try:
        await worker.send_and_wait("task.status", encode(end), key=end.key.encode())
    finally:
        await worker.stop()
    for replica in replicas:
        assert await replica.ended(deleting["task_id"]) == ("succeeded", counts.model_dump())
        assert (await replica.client.get(f"/rag/task/{task_id}")).status_code == 404


async def test_an_open_stream_does_not_hold_a_stop_up(replicas: tuple[Replica, Replica]) -> None:
    first, _ = replicas
    task_id = await first.upload("followed.txt")
    async with first.client.stream("GET", f"/rag/task/{task_id}/events") as stream:
        lines = stream.aiter_lines()
        async with asyncio.timeout(10):
            while not (await anext(lines)).startswith("data: "):
                pass
            began = time.monotonic()
            os.kill(first.process.pid, 15)
            async for _ in lines:
                pass
    assert await asyncio.to_thread(first.process.wait, 15) == 0
    assert time.monotonic() - began < 8


async def test_settings_and_runs_are_known_to_the_other_replica_at_once(
    replicas: tuple[Replica, Replica],
) -> None:
    async def configure_here_read_there(n: int) -> None:
        here, there = replicas if n % 2 else replicas[::-1]
        path = f"/rag/cabinets/{1000 + n}"
        for name in ("first", "second"):
            given = await here.client.put(path, json={"name": f"{name}-{n}"})
            assert given.status_code == 200, given.text
            seen = await there.client.get(path)
            assert (seen.status_code, seen.json()) == (200, given.json())
        started = await here.client.post(f"/rag/index/{1000 + n}")
        assert started.status_code == 202, started.text
        task_id = started.json()["task_id"]
        seen = await there.client.get(f"/rag/task/{task_id}")
        assert (seen.status_code, seen.json()["status"]) == (200, "queued")
        assert (await there.client.get(path)).json()["open_run"] == task_id
        again = await there.client.post(f"/rag/index/{1000 + n}")
        assert (again.status_code, again.json()["task_id"]) == (202, task_id)

    await asyncio.gather(*(configure_here_read_there(n) for n in range(8)))
    for replica in replicas:
        listed = (await replica.client.get("/rag/cabinets?cursor=999&limit=200")).json()
        assert [one["name"] for one in listed["cabinets"]] == [f"second-{n}" for n in range(8)]
        assert (await replica.client.get("/rag/cabinets/999999")).status_code == 404
        assert (await replica.client.post("/rag/index/999999")).status_code == 404
