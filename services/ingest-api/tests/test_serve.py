"""The service as a process, against a real broker."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest

from ingest_api.adapters.key_file import create_key
from ingest_api.domain.access import Scope
from kartoteka_contracts.topics import TOPICS
from kartoteka_runtime.topics_admin import provision
from kartoteka_testkit.kafka_broker import KafkaBroker, running_broker
from kartoteka_testkit.kafka_topics import read_all
from kartoteka_testkit.ports import free_ports
from kartoteka_testkit.process import ServerProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

MIB = 1024 * 1024


@dataclass(kw_only=True)
class Api:
    """One replica."""

    process: ServerProcess
    port: int
    key: str
    log: Path

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", headers={"X-API-Key": self.key}, timeout=60
        )

    async def wait_for(self, path: str, status: int, seconds: float = 30) -> httpx.Response:
        deadline = time.monotonic() + seconds
        async with self.client() as client:
            while True:
                self.process.must_run()
                try:
                    answer = await client.get(path)
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == status:
                    return answer
                if time.monotonic() > deadline:
                    shown = None if answer is None else (answer.status_code, answer.text)
                    raise TimeoutError(f"{path}: {shown}; {self.log.read_text()[-2000:]}")
                await asyncio.sleep(0.05)

    async def upload(self, name: str = "a.txt", content: bytes = b"hello") -> httpx.Response:
        async with self.client() as client:
            return await client.post(
                "/rag/add-document", data={"cabinet_id": "1"}, files={"file": (name, content)}
            )


async def provisioned(broker: KafkaBroker) -> None:
    await provision(broker.settings(), TOPICS)


@pytest.fixture(scope="module")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker with all topics, for tests that leave it alone."""
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        asyncio.run(provisioned(broker))
        yield broker


@contextlib.contextmanager
def replica(folder: Path, broker: KafkaBroker) -> Iterator[Api]:
    """Run a replica with all its files in a folder."""
    keys = folder / "keys.json"
    key = create_key(
        keys, name="test", scopes=list(Scope), cabinets=None, now=datetime(2026, 1, 1, tzinfo=UTC)
    )
    port, nobody = free_ports(2)
    env = {
        **os.environ,
        "API_PORT": str(port),
        "API_KEYS_FILE": str(keys),
        "API_HEADERS_TIMEOUT": "1",
        "OBJECT_STORE_URL": f"file://{folder}/objects",
        "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "KAFKA_JOB_PARTITIONS": "4",
        "QDRANT_URL": f"http://127.0.0.1:{nobody}",
        "EMBEDDINGS_URLS": f"http://127.0.0.1:{nobody}",
        "VIEW_PATH": str(folder / "view.sqlite"),
    }
    log = folder / "api.log"
    process = ServerProcess(
        [sys.executable, "-m", "ingest_api", "serve"], log=log, cwd=folder, env=env
    )
    try:
        yield Api(process=process, port=port, key=key.text, log=log)
    finally:
        process.terminate()


@pytest.fixture
async def ready(shared_broker: KafkaBroker, tmp_path: Path) -> AsyncIterator[Api]:
    """A replica that is ready."""
    with replica(tmp_path, shared_broker) as api:
        await api.wait_for("/healthz/ready", 200, seconds=60)
        yield api


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[KafkaBroker]:
    """A broker of the test's own, not started yet."""
    broker = KafkaBroker(tmp_path / "kafka")
    yield broker
    await broker.stop()


@pytest.fixture
def api(tmp_path: Path, broker: KafkaBroker) -> Iterator[Api]:
    """A replica that was started before its broker."""
    with replica(tmp_path, broker) as api:
        yield api


async def test_intake_lives_through_a_broker_that_comes_late_leaves_and_comes_back(
    api: Api, broker: KafkaBroker
) -> None:
    await api.wait_for("/healthz/live", 200)
    not_ready = await api.wait_for("/healthz/ready", 503)
    assert "topics" in not_ready.json()["reasons"]
    refused = await api.upload()
    assert refused.status_code == 503
    assert refused.json()["code"] == "event_log_unavailable"

    await broker.start()
    await provisioned(broker)
    await api.wait_for("/healthz/ready", 200, seconds=60)
    accepted = await api.upload("first.txt")
    assert accepted.status_code == 202

    broker.kill()
    took: list[float] = []
    for n in range(6):
        began = time.monotonic()
        away = await api.upload(f"away-{n}.txt")
        took.append(time.monotonic() - began)
        assert away.status_code == 503
        assert away.json()["code"] == "event_log_unavailable"
        assert int(away.headers["retry-after"]) >= 1
    assert max(took) < 6
    assert took[-1] < 0.5
    # An outage after the start is no reason to take every replica out of service.
    await api.wait_for("/healthz/ready", 200)

    await broker.restart()
    deadline = time.monotonic() + 30
    while (again := await api.upload("again.txt")).status_code != 202:
        assert time.monotonic() < deadline, again.text
        await asyncio.sleep(0.2)
    records = await read_all(broker.bootstrap_servers, "documents.interactive")
    keys = {(record.key or b"").decode() for record in records}
    assert {f"1/{answer.json()['document_id']}" for answer in (accepted, again)} <= keys


async def ended(process: ServerProcess) -> int | None:
    """Wait for the end of a process; returns its exit status."""
    deadline = time.monotonic() + 20
    while process.is_running:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    return process.exit_code


def form_of(size: int, step: int = MIB) -> AsyncIterator[bytes]:
    async def content() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="cabinet_id"\r\n\r\n1\r\n'
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="big"\r\n\r\n'
        for _ in range(size // step):
            yield os.urandom(64) * (step // 64)
        yield b"\r\n--b--\r\n"

    return content()


FORM = {"content-type": "multipart/form-data; boundary=b"}


async def test_a_large_upload_adds_little_memory(ready: Api) -> None:
    await ready.upload("warm.txt", b"x" * (8 * MIB))
    process = psutil.Process(ready.process.pid)
    before = process.memory_info().rss
    highest = before

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, process.memory_info().rss)
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    async with ready.client() as client:
        answer = await client.post("/rag/add-document", content=form_of(200 * MIB), headers=FORM)
    watching.cancel()
    assert answer.status_code == 202
    assert (highest - before) / MIB <= 16


async def test_sigterm_finishes_the_upload_under_way(ready: Api) -> None:
    begun = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        async for chunk in form_of(4 * MIB):
            yield chunk
            begun.set()
            await asyncio.sleep(0.4)

    async with ready.client() as client:
        upload = asyncio.create_task(
            client.post("/rag/add-document", content=slowly(), headers=FORM)
        )
        await begun.wait()
        await asyncio.sleep(0.2)
        psutil.Process(ready.process.pid).terminate()
        assert (await upload).status_code == 202
    assert await ended(ready.process) == 0
    assert '"event": "stopped"' in ready.log.read_text()


async def test_connections_that_send_no_headers_are_closed(ready: Api) -> None:
    for sent in (b"", b"GET /healthz/live HTTP/1.1\r\nX: y"):
        reader, writer = await asyncio.open_connection("127.0.0.1", ready.port)
        writer.write(sent)
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        assert time.monotonic() - began < 4
        writer.close()


async def test_an_early_refusal_is_seen_by_a_client_that_sends_on(ready: Api) -> None:
    async with ready.client() as client:
        answer = await client.post(
            "/rag/add-document",
            content=form_of(32 * MIB),
            headers={**FORM, "X-API-Key": "wrong"},
        )
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"


async def test_a_client_that_leaves_in_mid_upload_leaves_nothing(
    ready: Api, tmp_path: Path
) -> None:
    await ready.upload("kept.txt")
    before = sorted(path.name for path in (tmp_path / "objects").rglob("*") if path.is_file())
    _, writer = await asyncio.open_connection("127.0.0.1", ready.port)
    head = (
        "POST /rag/add-document HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nX-API-Key: {ready.key}\r\n\r\n"
    )
    writer.write(head.encode())
    async for chunk in form_of(4 * MIB):
        if b"--b--" not in chunk:
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
    writer.transport.abort()
    deadline = time.monotonic() + 10
    while '"status": 422' not in ready.log.read_text():
        assert time.monotonic() < deadline, ready.log.read_text()[-2000:]
        await asyncio.sleep(0.05)
    after = sorted(path.name for path in (tmp_path / "objects").rglob("*") if path.is_file())
    assert after == before


async def test_a_taken_port_is_told_with_what_to_do(ready: Api, tmp_path: Path) -> None:
    log = tmp_path / "second.log"
    env = {
        **psutil.Process(ready.process.pid).environ(),
        "VIEW_PATH": str(tmp_path / "second.sqlite"),
    }
    second = ServerProcess(
        [sys.executable, "-m", "ingest_api", "serve"], log=log, cwd=tmp_path, env=env
    )
    assert await ended(second) == 1
    assert "API_PORT" in log.read_text()


async def test_wrong_settings_are_all_named(tmp_path: Path) -> None:
    log = tmp_path / "wrong.log"
    process = ServerProcess(
        [sys.executable, "-m", "ingest_api", "serve"],
        log=log,
        cwd=tmp_path,
        env={"API_PORT": "x"},
    )
    assert await ended(process) == 2
    for name in ("API_PORT", "API_KEYS_FILE", "KAFKA_BOOTSTRAP_SERVERS", "OBJECT_STORE_URL"):
        assert name in log.read_text()
