"""Raw values of dead letters, read from a real broker."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer
from view_replica import make_topics

from ingest_api.adapters.letter_values import KafkaLetterValues
from ingest_api.domain.dead_letter import LetterId
from kartoteka_contracts.errors import UnavailableError
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_testkit.kafka_broker import KafkaBroker, running_broker
from kartoteka_testkit.ports import free_ports

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        asyncio.run(make_topics(broker.settings()))
        yield broker


async def test_values_are_read_in_any_order_and_absent_ones_are_none(broker: KafkaBroker) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    await producer.start()
    try:
        for n in range(40):
            await producer.send_and_wait(
                "documents.dlq", b"%d" % n, partition=n % 2, headers=[("x-reason", b"r%d" % n)]
            )
        await producer.send_and_wait("documents.dlq", None, key=b"k", partition=0)
    finally:
        await producer.stop()
    async with KafkaLetterValues(broker.settings()).open() as reader:
        for n in [5, 6, 7, 39, 0, 2, 4, 4, 6, 1, 38]:
            raw = await reader.read(LetterId(n % 2, n // 2))
            assert raw is not None
            assert raw.value == b"%d" % n
            assert raw.headers == (("x-reason", b"r%d" % n),)
        mark = await reader.read(LetterId(0, 20))
        assert mark is not None
        assert mark.value == b""
        assert await reader.read(LetterId(0, 21)) is None
        assert await reader.read(LetterId(5, 0)) is None
        assert await reader.read(LetterId(0, 10**17)) is None


async def test_a_broker_that_is_away_is_an_outage() -> None:
    (port,) = free_ports(1)
    values = KafkaLetterValues(KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"))
    with pytest.raises(UnavailableError, match="does not hand out"):
        async with values.open():
            pass
