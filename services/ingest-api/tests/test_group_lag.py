"""The workers' lag, asked of a real broker: never a wrong number."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from view_replica import until

from ingest_api.adapters.group_lag import GroupLag
from ingest_api.adapters.operations_log import OperationsLog, OperationsMetrics
from kartoteka_contracts.codec import encode
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.reindex import SlotsEmitted
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.metrics import Metrics
from kartoteka_testkit.kafka_broker import KafkaBroker, running_broker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

_TOPICS = ("documents.bulk", "documents.interactive")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


async def _make(broker: KafkaBroker, *topics: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, num_partitions=2, replication_factor=1) for name in topics]
        )
    finally:
        await admin.close()


async def _write(broker: KafkaBroker, topic: str, *values: bytes, partition: int = 0) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, partition=partition)
    finally:
        await producer.stop()


async def _commit(broker: KafkaBroker, offsets: dict[TopicPartition, int]) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers, group_id="workers", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
    finally:
        await consumer.stop()


async def test_lag_counts_from_the_commit_and_without_one_from_the_beginning(
    broker: KafkaBroker,
) -> None:
    lag = GroupLag(broker.settings(), group="workers", topics=_TOPICS)
    assert await lag.ask() is None  # the topics are not there yet
    await _make(broker, *_TOPICS)
    await _write(broker, "documents.bulk", b"1", b"2", b"3")
    await _write(broker, "documents.bulk", b"4", partition=1)
    sizes = await _known(lag)
    assert sizes == {"documents.bulk": 4, "documents.interactive": 0}
    await _commit(broker, {TopicPartition("documents.bulk", 0): 2})
    assert await _known(lag) == {"documents.bulk": 2, "documents.interactive": 0}
    await _commit(broker, {TopicPartition("documents.bulk", n): 3 - 2 * n for n in (0, 1)})
    assert await _known(lag) == {"documents.bulk": 0, "documents.interactive": 0}
    await lag.stop()


async def _known(lag: GroupLag) -> object:
    found: object = None

    async def ask() -> bool:  # the group's coordinator is made when it is first asked for
        nonlocal found
        found = await lag.ask()
        return found is not None

    await until(ask)
    return found


async def test_a_broker_that_is_away_is_an_error_in_bounded_time() -> None:
    nobody = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    lag = GroupLag(nobody, group="workers", topics=_TOPICS)
    async with asyncio.timeout(25):
        with pytest.raises(UnavailableError):
            await lag.ask()
    await lag.stop()


async def test_the_log_of_operations_is_read_from_its_beginning_and_followed(
    broker: KafkaBroker,
) -> None:
    def shown() -> float | None:
        return metrics.registry.get_sample_value("kartoteka_scheduler_watermark_timestamp_seconds")

    def emitted(second: int) -> bytes:
        return encode(SlotsEmitted(up_to=datetime.fromtimestamp(second, UTC)))

    metrics = Metrics()
    following = asyncio.create_task(
        OperationsLog(broker.settings(), OperationsMetrics(metrics)).run()
    )
    await asyncio.sleep(0.5)  # it meets a broker without the topic
    assert not following.done()
    await _make(broker, "scheduler.state")
    await _write(broker, "scheduler.state", emitted(100))
    await until(lambda: shown() == 100)
    await _write(broker, "scheduler.state", emitted(200))
    await until(lambda: shown() == 200)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
