"""One replica's view in a test, and what writes to its log."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ingest_api.adapters.cabinet_catalogue import SqliteCabinets
from ingest_api.adapters.kafka_view import KafkaView
from ingest_api.adapters.log_reader import VIEW_TOPICS
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.adapters.task_changes import TaskChanges
from ingest_api.adapters.view_metrics import ViewMetrics
from ingest_api.adapters.view_snapshots import ViewSnapshots
from ingest_api.read_ports import CabinetQuery
from ingest_api.settings import ViewSettings
from kartoteka_contracts.codec import encode
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import TaskId
from kartoteka_contracts.tasks import TaskStatus
from kartoteka_contracts.topics import TOPICS
from kartoteka_contracts.wire import Event
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.health import Health
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.objects import ObjectStore
from kartoteka_testkit.builders import submitted
from kartoteka_testkit.kafka_broker import KafkaBroker

_PARTITIONS = 4


async def make_topics(kafka: KafkaSettings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        there = set(await admin.list_topics()) & set(VIEW_TOPICS)
        if there:
            await admin.delete_topics(list(there))
        await until(lambda: _gone(admin, there))
        answer = await admin.create_topics(
            [
                NewTopic(
                    name,
                    num_partitions=TOPICS[name].partition_count(_PARTITIONS),
                    replication_factor=1,
                    topic_configs=TOPICS[name].config(),
                )
                for name in VIEW_TOPICS
            ]
        )
        assert {error[1] for error in answer.topic_errors} == {0}
    finally:
        await admin.close()


async def _gone(admin: AIOKafkaAdminClient, topics: set[str]) -> bool:
    return not set(await admin.list_topics()) & topics


async def until(holds: Callable[[], object], *, seconds: float = 30.0) -> None:
    """Wait until something holds; it may be a coroutine function."""
    give_up = time.monotonic() + seconds
    while True:
        found = holds()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < give_up, "it did not come to that in time"
        await asyncio.sleep(0.02)


class Log:
    """Writes to the broker as services do."""

    trouble = None

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(
        self,
        topic: str,
        *,
        key: str,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> object:
        return await self._producer.send_and_wait(
            topic, value, key=key.encode(), headers=list(headers)
        )

    async def write(self, topic: str, *events: Event) -> None:
        for event in events:
            await self.send(topic, key=event.key, value=encode(event))


@asynccontextmanager
async def log_of(broker: KafkaBroker) -> AsyncIterator[Log]:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    await producer.start()
    try:
        yield Log(producer)
    finally:
        await producer.stop()


class Replica:
    """One view with its own file, as in one process."""

    def __init__(
        self,
        kafka: KafkaSettings,
        folder: Path,
        log: Log,
        store: ObjectStore | None = None,
        *,
        catalogue: SqliteCatalogue | None = None,
    ) -> None:
        self.health = Health()
        self.health.started = True
        self.metrics = Metrics()
        self.changes = TaskChanges(limit=10)
        self.catalogue = catalogue or SqliteCatalogue(folder, SystemClock())
        self.snapshots = (
            None if store is None else ViewSnapshots(store, self.catalogue, folder, SystemClock())
        )
        self.view = KafkaView(
            kafka,
            ViewSettings(path=folder),
            catalogue=self.catalogue,
            changes=self.changes,
            log=log,
            health=self.health,
            metrics=ViewMetrics(self.metrics),
            clock=SystemClock(),
            snapshots=self.snapshots,
        )

    async def status(self, task_id: TaskId) -> TaskStatus | None:
        task = await self.catalogue.task(task_id)
        return None if task is None else task.status

    async def cabinets(self) -> list[int]:
        query = CabinetQuery(cabinets=None, limit=100)
        return [one.cabinet_id for one in await SqliteCabinets(self.catalogue).cabinets(query)]

    async def found(self, task_id: TaskId) -> bool:
        """Look a task up as a request does: a miss waits until the view has caught up."""
        if await self.catalogue.task(task_id) is not None:
            return True
        await self.view.catch_up()
        return await self.catalogue.task(task_id) is not None

    def figure(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(f"kartoteka_{name}", labels)
        return 0.0 if value is None else value


@asynccontextmanager
async def replica(
    broker: KafkaBroker, folder: Path, log: Log, *, store: ObjectStore | None = None
) -> AsyncIterator[Replica]:
    one = Replica(broker.settings(), folder, log, store)
    running = asyncio.create_task(one.view.run())
    try:
        await until(lambda: one.health.ready()[0] or running.done())
        assert not running.done()
        yield one
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await one.catalogue.close()


def jobs(count: int, *, prefix: str = "d") -> list[DocumentSubmitted]:
    return [submitted(external_id=f"{prefix}{n}", accepted_at=_now()) for n in range(count)]


def _now() -> object:
    return SystemClock().now()
