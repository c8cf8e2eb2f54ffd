"""Provisioning, checking and the gate, on a real broker."""

import asyncio
import io
from dataclasses import replace
from uuid import uuid4

import pytest

from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.topics import TOPICS, Cleanup, Topic
from kartoteka_runtime.health import Health
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.topics_admin import check, provision
from kartoteka_runtime.topics_cli import main
from kartoteka_runtime.topics_gate import HOLD, keep_checked
from kartoteka_testkit.eventually import eventually
from kartoteka_testkit.kafka_broker import KafkaBroker
from kartoteka_testkit.kafka_topics import make_topic
from kartoteka_testkit.ports import free_ports

pytestmark = pytest.mark.integration


@pytest.fixture
def topics() -> dict[str, Topic]:
    """Three of the registry's topics under names of this test."""
    run = uuid4().hex
    chosen = ("documents.interactive", "task.status", "cabinets")
    renamed = [replace(TOPICS[name], name=f"{name}.{run}") for name in chosen]
    return {topic.name: topic for topic in renamed}


async def test_provisioning_creates_once_and_is_then_content(
    kafka: KafkaBroker, topics: dict[str, Topic]
) -> None:
    settings = kafka.settings()
    assert len(await check(settings, topics)) == 3
    first = await provision(settings, topics)
    assert (first.created, first.kept, first.faults) == (tuple(sorted(topics)), (), ())
    again = await provision(settings, topics)
    assert (again.created, again.kept, again.faults) == ((), tuple(sorted(topics)), ())
    assert await check(settings, topics) == ()


async def test_two_that_provision_at_once_do_not_quarrel(
    kafka: KafkaBroker, topics: dict[str, Topic]
) -> None:
    reports = await asyncio.gather(*(provision(kafka.settings(), topics) for _ in range(2)))
    assert [report.faults for report in reports] == [(), ()]


async def test_the_whole_registry_can_be_provisioned(own_kafka: KafkaBroker) -> None:
    report = await provision(own_kafka.settings(job_partitions=4))
    assert set(report.created) == set(TOPICS)
    assert report.faults == ()
    (fault, *others) = await check(own_kafka.settings(job_partitions=8))
    assert "has 4 partitions, must have 8" in fault
    assert len(others) == sum(topic.partitions == "P" for topic in TOPICS.values()) - 1


async def test_a_topic_made_by_hand_is_refused_and_left_alone(
    kafka: KafkaBroker, topics: dict[str, Topic]
) -> None:
    name = next(name for name, topic in topics.items() if topic.cleanup is Cleanup.COMPACT)
    await make_topic(kafka.bootstrap_servers, name=name, partitions=1)
    for _ in range(2):
        report = await provision(kafka.settings(), topics)
        assert [fault.partition(": ")[0] for fault in report.faults] == [name, name]
        assert "has 1 partitions, must have 6" in report.faults[0]
        assert "cleanup.policy=delete, must have compact" in report.faults[1]


async def test_more_replicas_than_brokers_are_refused_with_the_setting(
    kafka: KafkaBroker, topics: dict[str, Topic]
) -> None:
    report = await provision(kafka.settings(replication_factor=3), topics)
    assert len(report.faults) == 3
    assert all("KAFKA_REPLICATION_FACTOR=3" in fault for fault in report.faults)
    assert report.created == ()


async def test_too_few_replicas_and_too_few_in_sync_are_found(
    kafka: KafkaBroker, topics: dict[str, Topic]
) -> None:
    await provision(kafka.settings(), topics)
    strict = kafka.settings(replication_factor=3, min_insync_replicas=2)
    faults = await check(strict, topics)
    assert sum("replication factor of 1, must have 3" in fault for fault in faults) == 3
    assert sum("min.insync.replicas=1, must have 2" in fault for fault in faults) == 3


async def test_kafka_away_is_unavailable() -> None:
    (port,) = free_ports(1)
    with pytest.raises(UnavailableError) as caught:
        await check(KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"))
    assert caught.value.code == "event_log_unavailable"


async def test_the_gate_holds_until_topics_are_right_and_again_when_they_go_wrong(
    kafka: KafkaBroker, topics: dict[str, Topic]
) -> None:
    health = Health()
    health.started = True
    gate = keep_checked(
        health, kafka.settings(), topics=topics, retry_seconds=0.1, recheck_seconds=0.2
    )
    assert not health.ready()[0]
    task = asyncio.create_task(gate)
    await eventually(lambda: "does not exist" in health.holds.get(HOLD, ""))
    await provision(kafka.settings(), topics)
    await eventually(lambda: health.ready() == (True, {}))
    missing = replace(next(iter(topics.values())), name=f"late.{uuid4().hex}")
    topics[missing.name] = missing
    await eventually(lambda: missing.name in health.holds.get(HOLD, ""))
    task.cancel()
    await asyncio.wait([task])


async def test_the_command_tells_by_its_exit_status(own_kafka: KafkaBroker) -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": own_kafka.bootstrap_servers, "KAFKA_JOB_PARTITIONS": "2"}
    out = io.StringIO()

    async def run(*arguments: str, **changes: str) -> int:
        return await asyncio.to_thread(main, arguments, env=env | changes, out=out)

    assert await run("check") == 1
    assert await run("provision") == 0
    assert await run("provision") == 0
    assert await run("check") == 0
    assert await run("check", KAFKA_JOB_PARTITIONS="3") == 1
    assert await run("check", KAFKA_JOB_PARTITIONS="many") == 2
    await own_kafka.stop()
    assert await run("check") == 3
    text = out.getvalue()
    assert "created  documents.interactive" in text
    assert "kept     documents.interactive" in text
    assert "WRONG    documents.interactive: has 2 partitions, must have 3" in text
