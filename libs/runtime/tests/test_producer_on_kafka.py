"""The producer and a real broker that goes away in every way a broker can."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from kartoteka_contracts.errors import RequestError, UnavailableError
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.producer import Delivered, Producer, ProducerSettings
from kartoteka_testkit.eventually import eventually
from kartoteka_testkit.kafka_broker import KafkaBroker
from kartoteka_testkit.kafka_topics import make_topic, read_all
from kartoteka_testkit.ports import free_ports

pytestmark = pytest.mark.integration

QUICK = ProducerSettings(
    ack_timeout=1.5,
    request_timeout=2.0,
    probe_interval=0.2,
    stop_timeout=0.5,
    max_in_flight=50,
)
SLACK = 1.0
"""Seconds that a loaded machine may add to a bound."""


@asynccontextmanager
async def producing(
    kafka: KafkaSettings, settings: ProducerSettings = QUICK
) -> AsyncIterator[Producer]:
    producer = Producer(kafka, settings, client_id="test")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def seconds_to_fail(call: Awaitable[Delivered]) -> tuple[float, str]:
    began = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        await call
    return time.monotonic() - began, caught.value.code


async def fail_until_open(producer: Producer, topic: str) -> None:
    for _ in range(QUICK.breaker_failures):
        took, code = await seconds_to_fail(producer.send(topic, key="k", value=b"lost?"))
        assert code == "event_log_unavailable"
        assert took < QUICK.ack_timeout + SLACK
    took, _ = await seconds_to_fail(producer.send(topic, key="k", value=b"refused"))
    assert took < QUICK.ack_timeout  # not waited for at all
    assert producer.trouble is not None


async def test_what_was_acknowledged_lies_where_it_says(kafka: KafkaBroker) -> None:
    topic = await make_topic(kafka.bootstrap_servers, partitions=3)
    async with producing(kafka.settings()) as producer:
        sends = [
            producer.send(topic, key=f"k{n % 7}", value=str(n).encode(), headers=[("n", b"1")])
            for n in range(40)
        ]
        delivered = await asyncio.gather(*sends)
    records = {(r.partition, r.offset): r for r in await read_all(kafka.bootstrap_servers, topic)}
    assert len(records) == 40
    for n, place in enumerate(delivered):
        record = records[place.partition, place.offset]
        assert (record.key, record.value) == (f"k{n % 7}".encode(), str(n).encode())
        assert record.headers == (("n", b"1"),)


async def test_equal_keys_keep_the_order_of_the_calls(kafka: KafkaBroker) -> None:
    topic = await make_topic(kafka.bootstrap_servers, partitions=3)
    async with producing(kafka.settings()) as producer:
        await asyncio.gather(
            *(producer.send(topic, key="same", value=b"%03d" % n) for n in range(40))
        )
    values = [record.value for record in await read_all(kafka.bootstrap_servers, topic)]
    assert values == [b"%03d" % n for n in range(40)]


async def test_a_tombstone_has_no_value(kafka: KafkaBroker) -> None:
    topic = await make_topic(kafka.bootstrap_servers)
    async with producing(kafka.settings()) as producer:
        await producer.send(topic, key="gone", value=None)
    (record,) = await read_all(kafka.bootstrap_servers, topic)
    assert (record.key, record.value) == (b"gone", None)


async def test_posts_arrive_before_stop_returns(kafka: KafkaBroker) -> None:
    topic = await make_topic(kafka.bootstrap_servers)
    async with producing(kafka.settings()) as producer:
        await eventually(lambda: producer.trouble is None)
        for n in range(10):
            producer.post(topic, key="k", value=str(n).encode())
    assert len(await read_all(kafka.bootstrap_servers, topic)) == 10


async def test_a_killed_broker_fails_sends_in_time_and_back_again_it_is_found(
    own_kafka: KafkaBroker,
) -> None:
    topic = await make_topic(own_kafka.bootstrap_servers)
    async with producing(own_kafka.settings()) as producer:
        await producer.send(topic, key="k", value=b"before")
        own_kafka.kill()
        await fail_until_open(producer, topic)
        await own_kafka.restart()
        await eventually(lambda: producer.trouble is None)
        await producer.send(topic, key="k", value=b"after")
    values = [record.value for record in await read_all(own_kafka.bootstrap_servers, topic)]
    assert values[0] == b"before"
    assert values[-1] == b"after"
    # Given-up records may land, each once and in order; a refused one may not.
    assert b"refused" not in values
    assert values.count(b"lost?") <= QUICK.breaker_failures


async def test_a_stopped_broker_that_comes_back_is_found_without_traffic(
    own_kafka: KafkaBroker,
) -> None:
    topic = await make_topic(own_kafka.bootstrap_servers)
    async with producing(own_kafka.settings()) as producer:
        await producer.send(topic, key="k", value=b"before")
        await own_kafka.stop()
        await fail_until_open(producer, topic)
        await own_kafka.restart()
        await eventually(lambda: producer.trouble is None)
        await producer.send(topic, key="k", value=b"after")


async def test_a_suspended_broker_fails_sends_in_time_and_resumed_it_is_found(
    own_kafka: KafkaBroker,
) -> None:
    topic = await make_topic(own_kafka.bootstrap_servers)
    async with producing(own_kafka.settings()) as producer:
        await producer.send(topic, key="k", value=b"before")
        own_kafka.suspend()
        await fail_until_open(producer, topic)
        own_kafka.resume()
        await eventually(lambda: producer.trouble is None)
        await producer.send(topic, key="k", value=b"after")
        await eventually(lambda: producer.in_flight == 0)


async def test_a_stuck_client_is_replaced_during_an_outage_and_its_records_are_let_go(
    own_kafka: KafkaBroker,
) -> None:
    topic = await make_topic(own_kafka.bootstrap_servers)
    settings = QUICK.model_copy(update={"rebuild_after": 0.5})
    async with producing(own_kafka.settings(), settings) as producer:
        await producer.send(topic, key="k", value=b"before")
        own_kafka.suspend()
        await fail_until_open(producer, topic)
        await eventually(lambda: producer.in_flight == 0)
        assert "not connected" in (producer.trouble or "")
        own_kafka.resume()
        await eventually(lambda: producer.trouble is None)
        await producer.send(topic, key="k", value=b"after")


async def test_records_beyond_the_limit_are_refused_at_once(own_kafka: KafkaBroker) -> None:
    topic = await make_topic(own_kafka.bootstrap_servers)
    async with producing(own_kafka.settings()) as producer:
        await producer.send(topic, key="k", value=b"before")
        own_kafka.suspend()
        waiting = [
            asyncio.create_task(seconds_to_fail(producer.send(topic, key="k", value=b"x")))
            for _ in range(QUICK.max_in_flight)
        ]
        await eventually(lambda: producer.in_flight == QUICK.max_in_flight)
        took, code = await seconds_to_fail(producer.send(topic, key="k", value=b"one more"))
        assert code == "overloaded"
        assert took < QUICK.ack_timeout  # not waited for at all
        producer.post(topic, key="k", value=b"dropped")
        await asyncio.gather(*waiting)
        # Given up by their callers, but not forgotten: they still take memory.
        assert producer.in_flight == QUICK.max_in_flight
        own_kafka.resume()
        await eventually(lambda: producer.in_flight == 0)


async def test_stop_is_bounded_while_the_broker_is_away(own_kafka: KafkaBroker) -> None:
    topic = await make_topic(own_kafka.bootstrap_servers)
    producer = Producer(own_kafka.settings(), QUICK, client_id="test")
    await producer.start()
    await producer.send(topic, key="k", value=b"before")
    own_kafka.suspend()
    await seconds_to_fail(producer.send(topic, key="k", value=b"x"))
    began = time.monotonic()
    await producer.stop()
    assert time.monotonic() - began < QUICK.stop_timeout + 2 + SLACK
    _, code = await seconds_to_fail(producer.send(topic, key="k", value=b"x"))
    assert code == "shutting_down"


async def test_started_before_its_broker_it_connects_once_there_is_one(
    own_kafka: KafkaBroker,
) -> None:
    topic = await make_topic(own_kafka.bootstrap_servers)
    await own_kafka.stop()
    async with producing(own_kafka.settings()) as producer:
        assert "not connected" in (producer.trouble or "")
        took, _ = await seconds_to_fail(producer.send(topic, key="k", value=b"x"))
        assert took < QUICK.ack_timeout + SLACK
        await own_kafka.restart()
        await eventually(lambda: producer.trouble is None)
        await producer.send(topic, key="k", value=b"x")


async def test_stop_without_any_broker_is_prompt() -> None:
    (port,) = free_ports(1)
    producer = Producer(
        KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"), QUICK, client_id="test"
    )
    await producer.start()
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await producer.stop()
    assert time.monotonic() - began < SLACK


async def test_a_record_that_the_broker_refuses_does_not_spoil_those_after_it(
    kafka: KafkaBroker,
) -> None:
    topic = await make_topic(kafka.bootstrap_servers, config={"max.message.bytes": "2000"})
    async with producing(kafka.settings()) as producer:
        await producer.send(topic, key="k", value=b"before")
        with pytest.raises(RequestError) as caught:
            await producer.send(topic, key="k", value=b"x" * 5000)
        assert caught.value.code == "body_too_large"
        await eventually(lambda: producer.trouble is not None)
        await eventually(lambda: producer.trouble is None)
        await producer.send(topic, key="k", value=b"after")
    values = [record.value for record in await read_all(kafka.bootstrap_servers, topic)]
    assert values == [b"before", b"after"]


async def test_a_producer_with_a_hole_in_its_sequence_is_replaced(kafka: KafkaBroker) -> None:
    topic = await make_topic(kafka.bootstrap_servers)
    async with producing(kafka.settings()) as producer:
        await producer.send(topic, key="k", value=b"before")
        spoilt = producer._link
        assert spoilt is not None
        numbers = spoilt._producer._txn_manager._sequence_numbers
        for place in numbers:
            numbers[place] += 5
        _, code = await seconds_to_fail(producer.send(topic, key="k", value=b"refused"))
        assert code == "event_log_unavailable"
        await eventually(lambda: producer._link not in (None, spoilt))
        await producer.send(topic, key="k", value=b"after")
    values = [record.value for record in await read_all(kafka.bootstrap_servers, topic)]
    assert values == [b"before", b"after"]


async def test_a_producer_whose_sender_has_died_is_replaced(kafka: KafkaBroker) -> None:
    topic = await make_topic(kafka.bootstrap_servers)
    async with producing(kafka.settings()) as producer:
        await producer.send(topic, key="k", value=b"before")
        spoilt = producer._link
        assert spoilt is not None
        spoilt._producer._sender.sender_task.cancel()
        await eventually(lambda: producer._link not in (None, spoilt))
        await producer.send(topic, key="k", value=b"after")


async def test_an_event_larger_than_kafka_takes_is_refused_before_it_is_sent(
    kafka: KafkaBroker,
) -> None:
    topic = await make_topic(kafka.bootstrap_servers)
    async with producing(kafka.settings()) as producer:
        with pytest.raises(RequestError) as caught:
            await producer.send(topic, key="k", value=b"x" * 1_000_001)
        assert caught.value.code == "body_too_large"
        await producer.send(topic, key="k", value=b"after")


async def test_a_topic_that_is_not_there_is_named(kafka: KafkaBroker) -> None:
    async with producing(kafka.settings()) as producer:
        await eventually(lambda: producer.trouble is None)
        with pytest.raises(UnavailableError, match="has no metadata of no-such-topic"):
            await producer.send("no-such-topic", key="k", value=b"x")
