"""A real Apache Kafka broker for tests: one KRaft node on free loopback ports."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from kartoteka_local.kraft import java_options, new_cluster_id, server_properties
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_testkit.ports import free_ports
from kartoteka_testkit.process import ServerProcess

__all__ = ["KafkaBroker", "kafka_jars", "running_broker"]

# Kill tests want sessions that end soon.
_SHORT_SESSIONS: Final = {"group.min.session.timeout.ms": "1000"}

_FORMATTED: dict[tuple[str, ...], dict[str, bytes]] = {}
"""Files of a formatted folder, by the arguments of the format, for later brokers of this process.

Formatting takes a Java machine of its own; brokers of tests never meet, so they may share an id.
"""


def kafka_jars() -> Path:
    """Return the folder with Kafka's jars: KARTOTEKA_KAFKA_LIB, else .kartoteka/kafka/lib.

    Raises:
        RuntimeError: there are none, with what to do.
    """
    named = os.environ.get("KARTOTEKA_KAFKA_LIB")
    repository = Path(__file__).resolve().parents[4]
    folder = Path(named) if named else repository / ".kartoteka" / "kafka" / "lib"
    if not any(folder.glob("kafka_2.13-*.jar")):
        raise RuntimeError(
            f"no Kafka jars in {folder}: run `make test`, which brings them, or set "
            "KARTOTEKA_KAFKA_LIB to a folder that holds org.apache.kafka:kafka_2.13 and what it "
            "depends on"
        )
    return folder


class KafkaBroker:
    """One broker. Its ports and data stay the same over kills and restarts.

    ``start``, ``stop`` and ``restart`` are coroutines, so that clients on the loop go on while
    the broker is away; ``kill``, ``suspend`` and ``resume`` act at once.

    Args:
        folder: where data, configuration and log go; created.
        properties: added to server.properties, or replacing its lines.
        extra_listeners: listener names (as in ``listener.security.protocol.map``) beside
            PLAINTEXT, each with a port of its own, found by :meth:`address`.
        format_arguments: for Kafka's ``StorageTool format``: SCRAM users are made there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        properties: Mapping[str, str] | None = None,
        extra_listeners: tuple[str, ...] = (),
        format_arguments: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self._jars = kafka_jars()
        names = ("PLAINTEXT", *extra_listeners)
        self._controller, *ports = free_ports(1 + len(names))
        self._ports = dict(zip(names, ports, strict=True))
        self._properties = dict(properties or {})
        self._format_arguments = format_arguments
        self._process: ServerProcess | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def bootstrap_servers(self) -> str:
        """host:port of the plain listener."""
        return self.address("PLAINTEXT")

    @property
    def log(self) -> Path:
        """What the broker wrote."""
        return self.folder / "broker.log"

    @property
    def pid(self) -> int:
        """The process id of the broker that runs now."""
        return self._running().pid

    def address(self, listener: str) -> str:
        """Return host:port of a listener."""
        return f"127.0.0.1:{self._ports[listener]}"

    def settings(
        self,
        *,
        job_partitions: int = 4,
        replication_factor: int = 1,
        min_insync_replicas: int = 1,
    ) -> KafkaSettings:
        """Return settings for the plain listener."""
        return KafkaSettings(
            bootstrap_servers=self.bootstrap_servers,
            job_partitions=job_partitions,
            replication_factor=replication_factor,
            min_insync_replicas=min_insync_replicas,
        )

    async def start(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109 - a bound of the wait
        """Start, format the data folder first where it is new, and wait until it answers.

        Raises:
            RuntimeError: the broker ended, with the end of its log.
            TimeoutError: it did not answer in ``timeout`` seconds.
        """
        await asyncio.to_thread(self._prepare)
        self.spawn()
        await self.ready(timeout)

    def spawn(self) -> None:
        """Start the process of a prepared broker, not waiting until it answers."""
        self._process = ServerProcess(
            [*self._java(), "kafka.Kafka", str(self._config)], log=self.log, cwd=self.folder
        )

    async def ready(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109 - as above
        """Wait until an admin client is answered.

        Raises:
            RuntimeError: the broker ended.
            TimeoutError: no answer in ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while not await self._answers():
            self._running().must_run()
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer from Kafka in {timeout} s; see {self.log}")
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Stop in an orderly way (SIGTERM); nothing happens when it does not run."""
        if self._process is not None:
            await asyncio.to_thread(self._process.terminate)
            self._process = None

    async def restart(self) -> None:
        """Stop or bury what was, then start on the same ports and data."""
        await self.stop()
        await self.start()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._running().kill()

    def suspend(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._running().suspend()

    def resume(self) -> None:
        """SIGCONT."""
        self._running().resume()

    def _running(self) -> ServerProcess:
        if self._process is None:
            raise RuntimeError("the broker is not started")
        return self._process

    @property
    def _config(self) -> Path:
        return self.folder / "server.properties"

    def _java(self) -> list[str]:
        java = shutil.which("java")
        if java is None:
            raise RuntimeError("no java on PATH: install a JRE 17 or later")
        return [java, *java_options(self._jars)]

    def _prepare(self) -> None:
        data = self.folder / "data"
        if (data / "meta.properties").exists():
            return
        self._config.write_text(self._configuration(data))
        known = _FORMATTED.get(self._format_arguments)
        if known is not None:
            data.mkdir()
            for name, content in known.items():
                (data / name).write_bytes(content)
            return
        command = [*self._java(), "kafka.tools.StorageTool", "format"]
        done = subprocess.run(
            [*command, "-t", new_cluster_id(), *self._format_arguments, "-c", str(self._config)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage could not be formatted: {done.stderr[-2000:]}")
        files = {file.name: file.read_bytes() for file in data.iterdir() if file.is_file()}
        _FORMATTED[self._format_arguments] = files

    def _configuration(self, data: Path) -> str:
        return server_properties(
            listeners={name: self.address(name) for name in self._ports},
            controller=f"127.0.0.1:{self._controller}",
            data=data,
            more={**_SHORT_SESSIONS, **self._properties},
        )

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._ports["PLAINTEXT"])
        except OSError:
            return False
        writer.close()
        client = AIOKafkaAdminClient(
            bootstrap_servers=self.bootstrap_servers, request_timeout_ms=5000
        )
        try:
            await client.start()
            await client.list_topics()
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await client.close()
        return True


@contextmanager
def running_broker(
    folder: Path, *, properties: Mapping[str, str] | None = None
) -> Iterator[KafkaBroker]:
    """Run a broker for the length of a block, outside of any event loop (a session fixture)."""
    broker = KafkaBroker(folder, properties=properties)
    try:
        asyncio.run(broker.start())
        yield broker
    finally:
        asyncio.run(broker.stop())
