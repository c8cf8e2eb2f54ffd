"""What ended behind a running head stays in memory: bounded in records and in bytes."""

import asyncio
from dataclasses import replace

import pytest
from dispatching_world import BULK, INTERACTIVE, LIMITS, Handler, Log, settled

from embedder.domain.admission import Limits
from embedder.domain.delivery import Delivery
from embedder.domain.job import Origin, RawRecord
from embedder.domain.window import Place
from embedder.entrypoints.acks import Acks
from embedder.entrypoints.dispatcher import Dispatcher

_UNREADABLE = b"x" * 1000
"""Is rejected at once, and then waits for the head to end."""


async def _submitting(log: Log, count: int, topic: str = INTERACTIVE) -> asyncio.Task[None]:
    async def submit() -> None:
        for _ in range(count):
            await log.send_raw(_UNREADABLE, topic=topic)

    task = asyncio.create_task(submit())
    for _ in range(count):
        await settled()
    return task


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        pytest.param(replace(LIMITS, unacknowledged=8), 8, id="records"),
        pytest.param(replace(LIMITS, unacknowledged_bytes=5000), 6, id="bytes"),
    ],
)
async def test_a_topic_waits_while_too_much_is_behind_its_head(limits: Limits, most: int) -> None:
    handler = Handler()
    dispatcher = Dispatcher(handler, limits)
    running = asyncio.create_task(dispatcher.run())
    log = Log(dispatcher)
    log.turn()
    await log.send("head")
    task = await _submitting(log, 20)
    in_time = len(handler.rejected)
    assert not task.done()
    assert in_time < most
    other = await _submitting(log, 3, topic=BULK)
    await asyncio.wait_for(other, 5)  # no topic waits for another
    await handler.end("head")
    await asyncio.wait_for(task, 5)
    await settled()
    assert [offset for topic, offset, _ in log.acknowledged if topic == INTERACTIVE] == list(
        range(21)
    )
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_one_record_larger_than_all_room_comes_in_when_it_is_alone() -> None:
    handler = Handler()
    dispatcher = Dispatcher(handler, replace(LIMITS, unacknowledged_bytes=10))
    running = asyncio.create_task(dispatcher.run())
    log = Log(dispatcher)
    log.turn()
    task = await _submitting(log, 3)
    await asyncio.wait_for(task, 5)
    assert handler.rejected == [0, 1, 2]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_bytes_are_counted_until_they_are_released_and_begin_anew_with_a_generation() -> None:
    async def nothing() -> None:
        pass

    def delivery(offset: int, generation: int) -> Delivery:
        record = RawRecord(
            origin=Origin(topic=INTERACTIVE, partition=0, offset=offset),
            key=b"kk",
            value=b"vvv",
            headers=(("n", b"hhhh"),),
        )
        return Delivery(record=record, generation=generation, acknowledge=nothing)

    acks = Acks()
    acks.turn(1, [Place(INTERACTIVE, 0)])
    first, second = delivery(0, 1), delivery(1, 1)
    assert acks.open(first)
    assert acks.open(second)
    assert acks.held_bytes(INTERACTIVE) == 20
    acks.settle(second)
    assert acks.held_bytes(INTERACTIVE) == 20
    acks.settle(first)
    assert acks.held_bytes(INTERACTIVE) == 0
    assert acks.open(delivery(2, 1))
    acks.turn(2, [Place(INTERACTIVE, 0)])
    assert acks.held_bytes(INTERACTIVE) == 0
