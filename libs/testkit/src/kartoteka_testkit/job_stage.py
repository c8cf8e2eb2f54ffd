"""A stage for delivery tests: a group of worker processes, the records sent, what they wrote."""

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.topics import JOB_TOPICS, TOPICS
from kartoteka_contracts.wire import Event
from kartoteka_testkit.builders import submitted
from kartoteka_testkit.kafka_broker import KafkaBroker
from kartoteka_testkit.ports import free_ports
from kartoteka_testkit.process import ServerProcess

PARTITIONS = 4
SESSION_SECONDS = 4.0
RUNS = "cabinets.reindex"
_cabinets = itertools.count(1)

__all__ = [
    "PARTITIONS",
    "RUNS",
    "SESSION_SECONDS",
    "JobStage",
    "WorkerProcess",
    "create_job_topics",
    "until",
]


async def create_job_topics(broker: KafkaBroker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        topics = [
            NewTopic(name=name, num_partitions=count, replication_factor=1)
            for name, count in _partitions().items()
        ]
        await admin.create_topics(topics)
    finally:
        await admin.close()


@dataclass
class WorkerProcess:
    process: ServerProcess
    port: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    async def exit_code(self, seconds: float = 30.0) -> int:
        return await asyncio.to_thread(self.process.wait, seconds)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def probe(self, name: str) -> tuple[int, dict[str, Any]]:
        url = f"http://127.0.0.1:{self.port}/healthz/{name}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.json()

    async def is_ready(self) -> bool:
        self.process.must_run()
        try:
            status, _ = await self.probe("ready")
        except aiohttp.ClientError:
            return False
        return status == 200


@dataclass
class JobStage:
    """One test's group of workers, its records and its journal."""

    broker: KafkaBroker
    folder: Path
    script: Path
    """Run as ``python script JOURNAL CABINET``, settings from the environment."""
    cabinet: int = field(default_factory=lambda: next(_cabinets))
    workers: list[WorkerProcess] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def group(self) -> str:
        return f"test-{self.cabinet}"

    async def worker(self, *, is_awaited: bool = True, **env: str) -> WorkerProcess:
        (port,) = free_ports(1)
        log = self.folder / f"worker-{len(self.workers)}.log"
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
            "KAFKA_JOB_PARTITIONS": str(PARTITIONS),
            "WORKER_GROUP": self.group,
            "WORKER_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
            "WORKER_HEARTBEAT_SECONDS": "0.5",
            "WORKER_REBALANCE_TIMEOUT_SECONDS": "15",
            "WORKER_DRAIN_SECONDS": "20",
            "EMBEDDER_HTTP_PORT": str(port),
            **env,
        }
        command = [sys.executable, str(self.script), str(self.journal), str(self.cabinet)]
        variables = [f"{name}={value}" for name, value in settings.items()]
        process = ServerProcess(["env", *variables, *command], log=log, cwd=self.folder)
        worker = WorkerProcess(process, port, log)
        self.workers.append(worker)
        if is_awaited:
            await until(worker.is_ready, seconds=40)
        return worker

    async def skip_earlier(self) -> None:
        """Begin behind all that other tests have sent; one of them may have left work not yet due.

        Without this a group that is new reads the topics from their start.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.broker.bootstrap_servers,
            group_id=self.group,
            enable_auto_commit=False,
        )
        consumer.assign(_places())
        await consumer.start()
        try:
            await consumer.commit(await consumer.end_offsets(_places()))
        finally:
            await consumer.stop()

    def event(self, name: str, *, version: int = 1_000, **behaviour: Any) -> DocumentSubmitted:
        return submitted(
            cabinet=self.cabinet, external_id=name, version=version, metadata=behaviour
        )

    async def send(
        self,
        *events: Event,
        topic: str = "documents.interactive",
        partition: int | None = 0,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        for event in events:
            await self.send_raw(
                event.model_dump_json().encode(),
                key=event.key,
                topic=topic,
                partition=partition,
                headers=headers,
            )

    async def send_raw(
        self,
        value: bytes | None,
        *,
        key: str,
        topic: str = "documents.interactive",
        partition: int | None = 0,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap_servers, acks="all")
        await producer.start()
        try:
            await producer.send_and_wait(
                topic, value, key=key.encode(), partition=partition, headers=headers
            )
        finally:
            await producer.stop()

    def lines(self, what: str | None = None) -> list[dict[str, Any]]:
        if not self.journal.exists():
            return []
        text = self.journal.read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if what is None or line["what"] == what]

    def names(self, what: str) -> list[str]:
        return [line["name"] for line in self.lines(what)]

    async def lag(self) -> int:
        """Return how many records the group has not committed."""
        tps = _places()
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.bootstrap_servers)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap_servers)
        await consumer.start()
        await admin.start()
        try:
            ends = await consumer.end_offsets(tps)
            committed = await admin.list_consumer_group_offsets(self.group)
        finally:
            await admin.close()
            await consumer.stop()
        starts = {tp: max(0, committed[tp].offset) if tp in committed else 0 for tp in tps}
        return sum(ends[tp] - starts[tp] for tp in tps)

    async def is_committed(self) -> bool:
        return await self.lag() == 0

    def kill_all(self) -> None:
        for worker in self.workers:
            worker.process.kill()


def _places() -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for topic, count in _partitions().items()
        for number in range(count)
    ]


def _partitions() -> dict[str, int]:
    """Return the partition counts of all that a worker reads; they differ on purpose."""
    return {name: TOPICS[name].partition_count(PARTITIONS) for name in (*JOB_TOPICS, RUNS)}


async def until(condition: Callable[[], Any], *, seconds: float = 20.0, every: float = 0.1) -> None:
    """Wait until a condition holds; it may be a coroutine function."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        await asyncio.sleep(every)
