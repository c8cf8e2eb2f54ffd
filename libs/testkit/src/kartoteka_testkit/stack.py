"""The whole system as processes: real broker, embedded Qdrant, services by their entry points."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from kartoteka_testkit.kafka_broker import KafkaBroker
from kartoteka_testkit.ports import free_ports
from kartoteka_testkit.process import ServerProcess

__all__ = ["Service", "Stack", "StackClient"]

_OPEN = frozenset({"queued", "running", "retrying"})
_TICK_SECONDS = 3
_FIRST_KEY: list[tuple[str, bytes]] = []
"""The key that every stack of this process begins with, and the file that holds it."""


class Service:
    """One process of the stack, with the settings to start it again."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.env = dict(env)
        self.log = folder / f"{name}.log"
        self._command = command
        self._folder = folder
        self._process: ServerProcess | None = None

    @property
    def process(self) -> ServerProcess:
        """The process that runs now.

        Raises:
            RuntimeError: none was started.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} is not started")
        return self._process

    def start(self) -> None:
        """Start it; what ran before must have ended."""
        self._process = ServerProcess(
            self._command, log=self.log, cwd=self._folder, env={**os.environ, **self.env}
        )

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._process is not None:
            self._process.terminate(timeout=30)


class StackClient:
    """What a test asks one replica of the API."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=url, headers={"X-API-Key": key}, timeout=httpx.Timeout(30)
        )

    async def upload(
        self, name: str, body: bytes, *, cabinet: int = 1, metadata: str | None = None
    ) -> httpx.Response:
        """POST one document."""
        data = {"cabinet_id": str(cabinet)} | ({} if metadata is None else {"metadata": metadata})
        return await self.http.post("/rag/add-document", data=data, files={"file": (name, body)})

    async def accepted(self, name: str, body: bytes, *, cabinet: int = 1) -> dict[str, Any]:
        """POST one document that must be accepted; returns the answer."""
        answer = await self.upload(name, body, cabinet=cabinet)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def task(self, task_id: str) -> dict[str, Any]:
        """GET a task that must be there."""
        answer = await self.http.get(f"/rag/task/{task_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def ended(self, task_id: str, *, within: float = 60.0) -> dict[str, Any]:
        """Follow a task to its end.

        Raises:
            TimeoutError: it is still open after ``within`` seconds.
        """
        deadline = time.monotonic() + within
        while True:
            answer = await self.http.get(f"/rag/task/{task_id}")
            if answer.status_code == 200 and answer.json()["status"] not in _OPEN:
                found: dict[str, Any] = answer.json()
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"task {task_id} is still open: {answer.text}")
            await asyncio.sleep(0.1)

    async def found(self, query: str, *, cabinet: int = 1, top_k: int = 10) -> list[dict[str, Any]]:
        """Search and return the hits."""
        answer = await self.http.post(
            "/rag/search", json={"cabinet_id": cabinet, "query": query, "top_k": top_k}
        )
        assert answer.status_code == 200, answer.text
        hits: list[dict[str, Any]] = answer.json()["hits"]
        return hits


class Stack:
    """Everything that one test needs, in one folder, on loopback.

    Args:
        folder: data and logs.
        embedders: how many workers; change ``embedders[n].env`` before the start for one of them.
        waiting: how many of the last workers :meth:`start` leaves for the test to start.
        apis: how many API replicas.
        schedulers: how many schedulers, each with a tick every few seconds.
        env: settings for all services, over the short ones that tests want.
        broker_properties: added to the broker's own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        embedders: int = 1,
        waiting: int = 0,
        apis: int = 1,
        schedulers: int = 0,
        env: Mapping[str, str] | None = None,
        broker_properties: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.broker = KafkaBroker(folder / "kafka", properties=broker_properties)
        self._at_once = embedders - waiting
        ports = free_ports(1 + apis + embedders)
        qdrant, self._api_ports = ports[0], ports[1 : 1 + apis]
        self._embedder_ports = ports[1 + apis :]
        self.qdrant_url = f"http://127.0.0.1:{qdrant}"
        self._env = self._settings() | dict(env or {})
        self.qdrant = self._service(
            "qdrant",
            ["kartoteka_local.qdrant", "--data", str(folder / "qdrant"), "--port", str(qdrant)],
        )
        self.apis = [self._api(n, port) for n, port in enumerate(self._api_ports)]
        self.embedders = [self._embedder(n, port) for n, port in enumerate(self._embedder_ports)]
        self.schedulers = [self._scheduler(n) for n in range(schedulers)]
        self.clients: list[StackClient] = []

    def _settings(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
            "KAFKA_JOB_PARTITIONS": "6",
            "QDRANT_URL": self.qdrant_url,
            "OBJECT_STORE_URL": f"file://{self.folder / 'objects'}",
            "API_KEYS_FILE": str(self.folder / "api-keys.json"),
            "EMBEDDINGS_URLS": ",".join(f"http://127.0.0.1:{p}" for p in self._embedder_ports),
            "MODEL_BACKEND": "hash",
            "WORKER_SESSION_TIMEOUT_SECONDS": "4",
            "WORKER_HEARTBEAT_SECONDS": "1",
            "RETRY_BASE_SECONDS": "1",
            "LOG_FORMAT": "console",
        }

    def _service(
        self, name: str, arguments: list[str], env: Mapping[str, str] | None = None
    ) -> Service:
        command = [sys.executable, "-m", *arguments]
        return Service(name, command, {**self._env, **(env or {})}, self.folder)

    def _api(self, n: int, port: int) -> Service:
        name = f"ingest-api-{n}"
        env = {"API_PORT": str(port), "VIEW_PATH": str(self.folder / f"view-{n}.sqlite")}
        return self._service(name, ["ingest_api", "serve"], env)

    def _embedder(self, n: int, port: int) -> Service:
        env = {"EMBEDDER_HTTP_PORT": str(port)}
        return self._service(f"embedder-{n}", ["embedder", "worker"], env)

    def _scheduler(self, n: int) -> Service:
        command = ["scheduler", "loop", "--every", str(_TICK_SECONDS)]
        return self._service(f"scheduler-{n}", command)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything and wait until it is ready."""
        self.qdrant.start()
        await self.broker.start()
        await self.run(["kartoteka_runtime.topics_cli", "provision"])
        key = await self._first_key()
        for service in (*self.apis, *self.embedders[: self._at_once], *self.schedulers):
            service.start()
        self.clients = [StackClient(url, key) for url in self.api_urls]
        for api, port in zip(self.apis, self._api_ports, strict=True):
            await self.ready(api, port)
        for n in range(self._at_once):
            await self.ready(self.embedders[n], self._embedder_ports[n])

    @property
    def api_urls(self) -> list[str]:
        """Where the replicas of the API are."""
        return [f"http://127.0.0.1:{port}" for port in self._api_ports]

    @property
    def embedder_urls(self) -> list[str]:
        """Where the workers answer probes."""
        return [f"http://127.0.0.1:{port}" for port in self._embedder_ports]

    @property
    def client(self) -> StackClient:
        """The first replica's client."""
        return self.clients[0]

    async def create_key(self, *arguments: str) -> str:
        """Make an API key with arguments of ``keys create``; the replicas see it within seconds."""
        created = await self.run(["ingest_api", "keys", "create", *arguments])
        return next(word for word in created.split() if word.startswith("ktk_"))

    async def figures(self, arguments: list[str]) -> dict[str, Any]:
        """Run a module that prints its figures as a line of JSON, between the lines of its log.

        Raises:
            RuntimeError: it ended with an error.
        """
        output = await self.run(arguments)
        line = next(line for line in reversed(output.splitlines()) if line.startswith("{"))
        found: dict[str, Any] = json.loads(line)
        return found

    async def _first_key(self) -> str:
        """Return a key for everything; made once in a process of tests, since it takes a second."""
        file = Path(self._env["API_KEYS_FILE"])
        if not _FIRST_KEY:
            key = await self.create_key("--name", "tests", "--all-scopes", "--all-cabinets")
            _FIRST_KEY.append((key, await asyncio.to_thread(file.read_bytes)))
        key, content = _FIRST_KEY[0]
        await asyncio.to_thread(_put_private, file, content)
        return key

    async def all_ready(self, *, within: float = 60.0) -> None:
        """Wait until every service that was started says that it is ready.

        Raises:
            TimeoutError: one does not.
            RuntimeError: one has ended.
        """
        for api, port in zip(self.apis, self._api_ports, strict=True):
            await self.ready(api, port, within=within)
        for embedder, port in zip(self.embedders, self._embedder_ports, strict=True):
            await self.ready(embedder, port, within=within)

    async def start_embedder(self, n: int) -> None:
        """Start a worker, again or for the first time, and wait until it is ready."""
        self.embedders[n].start()
        await self.ready(self.embedders[n], self._embedder_ports[n])

    async def ready(self, service: Service, port: int, *, within: float = 60.0) -> None:
        """Wait until a service says that it is ready.

        Raises:
            TimeoutError: with what it says instead.
            RuntimeError: it has ended, with the end of its log.
        """
        deadline = time.monotonic() + within
        said = "nothing"
        async with httpx.AsyncClient() as client:
            while time.monotonic() < deadline:
                service.process.must_run()
                try:
                    answer = await client.get(f"http://127.0.0.1:{port}/healthz/ready", timeout=5)
                except httpx.HTTPError as error:
                    said = repr(error)
                else:
                    if answer.status_code == 200:
                        return
                    said = answer.text
                await asyncio.sleep(0.1)
        raise TimeoutError(f"{service.name} is not ready: {said}; see {service.log}")

    async def run(self, arguments: list[str]) -> str:
        """Run a module to its end with the services' settings; returns what it printed.

        Raises:
            RuntimeError: it ended with an error.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            env={**os.environ, **self._env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        text = output.decode(errors="replace")
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{text}")
        return text

    async def stop(self) -> None:
        """Stop everything, services first."""
        for client in self.clients:
            await client.http.aclose()
        for service in (*self.schedulers, *self.apis, *self.embedders, self.qdrant):
            await asyncio.to_thread(service.stop)
        await self.broker.stop()


def _put_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read."""
    file.touch(mode=0o600)
    file.write_bytes(content)
