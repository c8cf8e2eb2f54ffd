"""The commands as processes, on a real broker."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scheduler_world import configured, seen

from kartoteka_contracts.codec import decode, encode
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId, run_task_id
from kartoteka_contracts.reindex import ReindexMode, ReindexRequested, ReindexTrigger, SlotsEmitted
from kartoteka_contracts.wire import Event
from kartoteka_runtime.producer import Producer, ProducerSettings
from kartoteka_testkit.kafka_broker import KafkaBroker
from kartoteka_testkit.kafka_topics import make_topic, read_all
from kartoteka_testkit.process import ServerProcess
from scheduler.adapters import kafka_state
from scheduler.adapters.kafka_state import KafkaState

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(days=30)
SLOT = (NOW - timedelta(hours=3)).replace(second=0)
"""Of a daily schedule: the last one for every time near now."""
DAILY = f"{SLOT.minute} {SLOT.hour} * * *"
MARK = NOW - timedelta(hours=20)
"""Behind which the slot of today is, and none before it."""


@asynccontextmanager
async def producing(broker: KafkaBroker) -> AsyncIterator[Producer]:
    settings = ProducerSettings(ack_timeout=30, request_timeout=30)
    producer = Producer(broker.settings(), settings, client_id="test")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def write(broker: KafkaBroker, topic: str, events: Sequence[Event]) -> None:
    async with producing(broker) as producer:
        left = iter(events)

        async def send() -> None:
            for event in left:
                await producer.send(topic, key=event.key, value=encode(event))

        await asyncio.gather(*(send() for _ in range(200)))


async def mark(broker: KafkaBroker, at: datetime = MARK) -> None:
    await write(broker, "scheduler.state", [SlotsEmitted(up_to=at)])


async def runs(broker: KafkaBroker) -> list[ReindexRequested]:
    found = [
        decode(record.value)
        for record in await read_all(broker.bootstrap_servers, "cabinets.reindex")
    ]
    return [event for event in found if isinstance(event, ReindexRequested)]


def environment(broker: KafkaBroker, **settings: str) -> dict[str, str]:
    return {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, **settings}


async def scheduler(broker: KafkaBroker, *arguments: str, **settings: str) -> dict[str, Any]:
    """Run a command to its end, which must be good."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scheduler", *arguments),
        env=environment(broker, **settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found


async def test_two_ticks_for_one_slot_are_one_run(broker: KafkaBroker) -> None:
    cabinets = [*(configured(n, cron=DAILY, at=LONG_AGO) for n in (1, 2)), seen(3, NOW)]
    await write(broker, "cabinets", cabinets)
    assert (await scheduler(broker, "tick"))["due"] == 0  # the very first only remembers the time
    for _ in range(2):
        await mark(broker)
        assert (await scheduler(broker, "tick"))["emitted"] == 2
    assert (await scheduler(broker, "tick"))["emitted"] == 0
    asked = await runs(broker)
    assert len(asked) == 4
    assert {(run.cabinet_id, run.task_id) for run in asked} == {
        (n, run_task_id(CabinetId(n), SLOT)) for n in (1, 2)
    }
    assert {(run.slot, run.trigger) for run in asked} == {(SLOT, ReindexTrigger.SCHEDULE)}
    values = [r.value for r in await read_all(broker.bootstrap_servers, "cabinets.reindex")]
    assert len(set(values)) == 2


async def test_a_tick_that_is_killed_between_two_emits_is_completed_by_the_next(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    cabinets = range(1, 1501)
    await write(broker, "cabinets", [configured(n, cron=DAILY, at=LONG_AGO) for n in cabinets])
    await mark(broker)
    tick = ServerProcess(
        [sys.executable, "-m", "scheduler", "tick"],
        log=tmp_path / "tick.log",
        cwd=tmp_path,
        # One after another, each held back a while: it is far from its end when it is killed.
        env=environment(broker, SCHEDULER_IN_FLIGHT="1", PRODUCER_LINGER="0.02"),
    )
    while len(await runs(broker)) < 5:
        tick.must_run()
    os.kill(tick.pid, signal.SIGKILL)
    assert tick.wait(10) == -signal.SIGKILL
    cut = {run.task_id for run in await runs(broker)}
    assert 5 <= len(cut) < len(cabinets)
    assert await KafkaState(broker.settings()).watermark() == MARK
    assert (await scheduler(broker, "tick"))["emitted"] == len(cabinets)
    asked = await runs(broker)
    assert cut <= {run.task_id for run in asked}
    assert {run.task_id for run in asked} == {run_task_id(CabinetId(n), SLOT) for n in cabinets}
    watermark = await KafkaState(broker.settings()).watermark()
    assert watermark is not None
    assert watermark > NOW


async def test_reindex_asks_for_runs_of_named_cabinets_and_of_all_enabled_ones(
    broker: KafkaBroker,
) -> None:
    cabinets = [configured(1), seen(2, NOW), configured(3, enabled=False)]
    await write(broker, "cabinets", cabinets)
    said = await scheduler(broker, "reindex", "--cabinet", "7", "--cabinet", "3", "--mode", "full")
    named = await runs(broker)
    assert {str(run.cabinet_id): run.task_id for run in named} == said["runs"]
    assert {(run.cabinet_id, run.mode, run.trigger) for run in named} == {
        (n, ReindexMode.FULL, ReindexTrigger.MANUAL) for n in (3, 7)
    }
    said = await scheduler(broker, "reindex", "--mode", "failed")
    assert (said["cabinets"], said["emitted"]) == (3, 2)
    of_all = [run for run in await runs(broker) if run.mode is ReindexMode.FAILED]
    assert {run.cabinet_id for run in of_all} == {1, 2}


async def test_a_loop_outlives_a_broker_that_is_away(broker: KafkaBroker, tmp_path: Path) -> None:
    await write(broker, "cabinets", [configured(1, cron=DAILY, at=LONG_AGO)])
    await mark(broker)
    await broker.stop()
    loop = ServerProcess(
        [sys.executable, "-m", "scheduler", "loop", "--every", "1"],
        log=tmp_path / "loop.log",
        cwd=tmp_path,
        env=environment(broker),
    )
    try:
        while "not_connected" not in (tmp_path / "loop.log").read_text():
            loop.must_run()
            await asyncio.sleep(0.1)
        await broker.start()
        while not await runs(broker):
            loop.must_run()
        os.kill(loop.pid, signal.SIGTERM)
        assert await asyncio.to_thread(loop.wait, 15) == 0
    finally:
        loop.terminate()
    assert [run.task_id for run in await runs(broker)] == [run_task_id(CabinetId(1), SLOT)]


async def test_what_compaction_left_is_read_to_its_end(broker: KafkaBroker) -> None:
    topic = await make_topic(
        broker.bootstrap_servers,
        config={
            "cleanup.policy": "compact",
            "segment.ms": "100",
            "min.cleanable.dirty.ratio": "0.001",
            "max.compaction.lag.ms": "100",
            "delete.retention.ms": "0",
        },
    )
    async with producing(broker) as producer:
        for n in range(1, 61):  # the last is a tombstone of what came just before it
            event = configured(1 + n % 2, version=n)
            await producer.send(topic, key=event.key, value=encode(event) if n < 60 else None)
            if n % 20 == 0:
                await asyncio.sleep(0.2)  # for a segment of its own
        await producer.send(topic, key="9", value=None)
        async with asyncio.timeout(60):
            while len(await read_all(broker.bootstrap_servers, topic)) > 20:  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(0.2)
    state = KafkaState(broker.settings())
    found = [event async for event in state._events(topic)]
    assert found[-1] == configured(2, version=59)


async def test_what_cannot_be_read_is_left_out_and_the_rest_counts(broker: KafkaBroker) -> None:
    async with producing(broker) as producer:
        await producer.send("cabinets", key="1", value=b"{")
        future = b'{"type":"cabinet_configured","schema_version":9}'
        await producer.send("cabinets", key="1", value=future)
        await producer.send("cabinets", key="1#seen", value=encode(seen(1, NOW)))
    register = await KafkaState(broker.settings()).cabinets()
    assert [cabinet.cabinet_id for cabinet in register] == [1]


async def test_a_missing_topic_is_an_outage_that_says_what_to_do(broker: KafkaBroker) -> None:
    with pytest.raises(UnavailableError, match="kartoteka-topics provision"):
        [event async for event in KafkaState(broker.settings())._events("no.such.topic")]
    assert kafka_state.__all__ == ["KafkaState"]
