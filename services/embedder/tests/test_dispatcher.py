"""The dispatcher against a log and a handler that do as the test says."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from dispatching_world import BULK, INTERACTIVE, LIMITS, RETRY, Handler, Log, dispatching, settled

from embedder.entrypoints.dispatcher import Dispatcher, HandlerBrokeError
from kartoteka_testkit.frozen_clock import FrozenClock


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def dispatcher(handler: Handler, clock: FrozenClock) -> AsyncIterator[Dispatcher]:
    async with dispatching(handler, clock) as dispatcher:
        yield dispatcher


@pytest.fixture
async def log(dispatcher: Dispatcher) -> Log:
    log = Log(dispatcher)
    log.turn()
    return log


async def test_records_are_acknowledged_in_order_whatever_ends_first(
    log: Log, handler: Handler
) -> None:
    for name in "abc":
        await log.send(name)
    await handler.end("c")
    await handler.end("b")
    assert log.offsets == []
    await handler.end("a")
    assert log.offsets == [0, 1, 2]


async def test_nothing_starts_before_the_first_generation_or_while_partitions_are_shared_out(
    dispatcher: Dispatcher, log: Log, handler: Handler
) -> None:
    dispatcher.suspend()
    await log.send("a")
    assert handler.began == []
    log.turn()
    await log.deliver(INTERACTIVE, 0)
    assert handler.began == ["a@1"]


async def test_a_redelivered_record_adopts_the_running_task(log: Log, handler: Handler) -> None:
    await log.send("a")
    log.turn()
    await log.deliver(INTERACTIVE, 0)
    assert handler.began == ["a@1"]
    await handler.end("a")
    assert log.acknowledged == [(INTERACTIVE, 0, 2)]


async def test_work_that_ended_while_partitions_were_shared_out_is_not_done_again(
    dispatcher: Dispatcher, log: Log, handler: Handler
) -> None:
    await log.send("a")
    await log.send("b")
    await handler.end("b")
    dispatcher.suspend()
    log.turn()
    await handler.end("a")
    assert log.acknowledged == []
    await log.deliver(INTERACTIVE, 0)
    await log.deliver(INTERACTIVE, 1)
    assert handler.began == ["a@1", "b@1"]
    assert log.acknowledged == [(INTERACTIVE, 0, 2), (INTERACTIVE, 1, 2)]


async def test_work_of_a_lost_partition_is_cancelled_and_never_acknowledged(
    log: Log, handler: Handler
) -> None:
    await log.send("a", topic=BULK)
    log.turn(INTERACTIVE)
    await settled()
    assert handler.leases["a@1"].ended == "the partition went to another worker"
    assert log.acknowledged == []
    log.turn()
    await log.deliver(BULK, 0)
    assert handler.began == ["a@1", "a@1"]


async def test_a_delivery_of_a_past_generation_is_ignored(log: Log, handler: Handler) -> None:
    await log.send("a")
    await handler.end("a")
    log.turn()
    await log.deliver(INTERACTIVE, 0, generation=1)
    assert handler.began == ["a@1"]
    assert log.acknowledged == [(INTERACTIVE, 0, 1)]


async def test_a_record_that_reuses_an_offset_is_not_taken_for_the_old_one(
    log: Log, handler: Handler
) -> None:
    await log.send("a")
    await handler.end("a")
    log.turn()
    log._offsets.clear()
    await log.send("other")
    assert handler.began == ["a@1", "other@1"]


async def test_newer_work_ends_the_running_older_one_before_it_starts(
    log: Log, handler: Handler
) -> None:
    gate = handler.supersede_waits = asyncio.Event()
    await log.send("a", version=1)
    await log.send("a", version=2)
    assert handler.leases["a@1"].ended == "newer work of the document arrived"
    assert handler.began == ["a@1"]
    gate.set()
    await settled()
    assert handler.superseded == ["a@1"]
    assert handler.began == ["a@1", "a@2"]
    assert log.offsets == [0]


async def test_work_superseded_before_its_first_step_is_ended_by_the_handler(
    log: Log, handler: Handler
) -> None:
    first = asyncio.create_task(log.send("a", version=1))
    second = asyncio.create_task(log.send("a", version=2))
    await asyncio.gather(first, second)
    await settled()
    assert handler.superseded == ["a@1"]
    assert handler.began[-1] == "a@2"


async def test_older_work_is_ended_at_once(log: Log, handler: Handler) -> None:
    await log.send("a", version=2)
    await log.send("a", version=1)
    assert handler.superseded == ["a@1"]
    assert handler.began == ["a@2"]


async def test_equal_work_runs_after_the_running_one(log: Log, handler: Handler) -> None:
    await log.send("a")
    await log.send("a", topic=RETRY)
    assert handler.began == ["a@1"]
    await handler.end("a")
    assert handler.began == ["a@1", "a@1"]


async def test_a_full_class_makes_its_topic_wait_and_no_other(log: Log, handler: Handler) -> None:
    for n in range(4):
        await log.send(f"b{n}", topic=BULK)
    waiting = asyncio.create_task(log.send("b4", topic=BULK))
    await settled()
    assert not waiting.done()
    await log.send("i")
    assert handler.began == ["b0@1", "b1@1", "i@1"]
    await handler.end("b0")
    await waiting


async def test_a_waiting_submit_gives_up_when_its_generation_is_over(
    log: Log, handler: Handler
) -> None:
    for n in range(4):
        await log.send(f"b{n}", topic=BULK)
    waiting = asyncio.create_task(log.send("b4", topic=BULK))
    await settled()
    log.turn()
    await waiting
    for offset in range(4):
        await log.deliver(BULK, offset)
    assert handler.began == ["b0@1", "b1@1"]


async def test_what_cannot_be_read_is_rejected_and_acknowledged(log: Log, handler: Handler) -> None:
    await log.send_raw(b"{")
    assert handler.rejected == [0]
    assert log.offsets == [0]


async def test_a_retry_waits_outside_of_admission_until_it_is_due(
    log: Log, handler: Handler, clock: FrozenClock, dispatcher: Dispatcher
) -> None:
    due_ms = int(clock.now().timestamp() * 1000) + 50
    await log.send("later", topic=RETRY, attempt=1, not_before_ms=due_ms)
    await log.send("now", topic=RETRY, attempt=1)
    assert handler.began == ["now@1"]
    assert dispatcher.stalled_seconds == 0
    clock.advance(1)
    await asyncio.sleep(0.1)
    assert handler.began == ["now@1", "later@1"]


async def test_too_many_retries_to_hold_make_the_topic_wait(
    log: Log, handler: Handler, clock: FrozenClock
) -> None:
    due_ms = int(clock.now().timestamp() * 1000) + 50
    for n in range(2):
        await log.send(f"r{n}", topic=RETRY, not_before_ms=due_ms)
    waiting = asyncio.create_task(log.send("r2", topic=RETRY, not_before_ms=due_ms))
    await settled()
    assert not waiting.done()
    clock.advance(1)
    await asyncio.sleep(0.1)
    await waiting
    assert handler.began[:2] == ["r0@1", "r1@1"]


@pytest.mark.parametrize("error", [ValueError("planted"), asyncio.CancelledError()])
async def test_an_exception_acknowledges_nothing_and_ends_the_run(error: BaseException) -> None:
    handler = Handler()
    dispatcher = Dispatcher(handler, LIMITS)
    run = asyncio.create_task(dispatcher.run())
    log = Log(dispatcher)
    log.turn()
    for name in "abc":
        await log.send(name)
    await handler.end("b")
    await handler.end("a", error=error)
    with pytest.raises(HandlerBrokeError):
        await run
    assert log.acknowledged == []
    await log.send("d")
    assert "d@1" not in handler.began


async def test_draining_finishes_what_runs_and_starts_nothing(
    dispatcher: Dispatcher, log: Log, handler: Handler
) -> None:
    for n in range(6):
        await log.send(f"d{n}")
    drain = asyncio.create_task(dispatcher.drain(5))
    await settled()
    for n in range(4):
        await handler.end(f"d{n}")
    assert await drain == 0
    assert log.offsets == [0, 1, 2, 3]
    assert len(handler.began) == 4


async def test_draining_cancels_what_takes_too_long(
    dispatcher: Dispatcher, log: Log, handler: Handler
) -> None:
    await log.send("slow")
    assert await dispatcher.drain(0.01) == 1
    assert handler.leases["slow@1"].ended == "the worker is about to stop"
    assert log.acknowledged == []


async def test_a_rebalance_during_the_drain_still_adopts_what_runs(
    dispatcher: Dispatcher, log: Log, handler: Handler
) -> None:
    await log.send("a")
    drain = asyncio.create_task(dispatcher.drain(5))
    await settled()
    log.turn()
    await log.deliver(INTERACTIVE, 0)
    await log.send("b")
    await handler.end("a")
    assert await drain == 0
    assert log.acknowledged == [(INTERACTIVE, 0, 2)]
    assert handler.began == ["a@1"]


async def test_work_without_progress_is_told_of_and_idleness_is_not(
    dispatcher: Dispatcher, log: Log, handler: Handler, clock: FrozenClock
) -> None:
    clock.advance(1000)
    assert dispatcher.stalled_seconds == 0
    await log.send("a")
    clock.advance(100)
    assert dispatcher.stalled_seconds == 100
    await handler.end("a")
    assert dispatcher.stalled_seconds == 0
    assert dispatcher.dead_heads() == frozenset()
