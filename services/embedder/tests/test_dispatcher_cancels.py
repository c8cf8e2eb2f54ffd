"""Cancelling in the dispatcher: work is taken out wherever it is, and closed as cancelled."""

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


def _due(clock: FrozenClock) -> int:
    return int(clock.now().timestamp() * 1000) + 60_000


async def test_running_work_is_stopped_and_closed_once_it_has_ended(
    log: Log, handler: Handler
) -> None:
    gate = handler.cancel_waits = asyncio.Event()
    await log.send("a", topic=BULK)
    await log.cancel("a")
    assert handler.leases["a@1"].ended == "cancelled"
    assert handler.began == ["a@1", "cancel a@1"]
    assert log.acknowledged == [(INTERACTIVE, 0, 1)]
    gate.set()
    await settled()
    assert handler.cancelled == ["a@1"]
    assert log.acknowledged == [(INTERACTIVE, 0, 1), (BULK, 0, 1)]


async def test_work_that_waits_for_a_slot_never_starts(
    log: Log, handler: Handler, dispatcher: Dispatcher
) -> None:
    for name in "abc":
        await log.send(name, topic=BULK)
    assert handler.began == ["a@1", "b@1"]
    await log.cancel("c")
    assert handler.cancelled == ["c@1"]
    await handler.end("a")
    await handler.end("b")
    assert handler.began == ["a@1", "b@1", "cancel c@1"]
    assert log.offsets == [0, 0, 1, 2]
    assert dispatcher.running == 0


async def test_work_that_waits_behind_its_own_earlier_record_is_taken_out_too(
    log: Log, handler: Handler
) -> None:
    await log.send("a")
    await log.send("a", topic=RETRY)
    await log.cancel("a")
    assert handler.began == ["a@1", "cancel a@1"]
    assert handler.cancelled == ["a@1", "a@1"]
    assert sorted(log.acknowledged) == [(INTERACTIVE, 0, 1), (INTERACTIVE, 1, 1), (RETRY, 0, 1)]


async def test_a_retry_that_is_not_due_is_taken_out_and_makes_room(
    log: Log, handler: Handler, clock: FrozenClock
) -> None:
    for name in "ab":
        await log.send(name, topic=RETRY, not_before_ms=_due(clock))
    waiting = asyncio.create_task(log.send("c", topic=RETRY, not_before_ms=_due(clock)))
    await settled()
    assert not waiting.done()
    await log.cancel("a")
    await waiting
    assert handler.cancelled == ["a@1"]
    clock.advance(61)
    await log.send("wake", topic=INTERACTIVE)
    await settled()
    assert handler.began == ["cancel a@1", "wake@1", "b@1", "c@1"]


async def test_other_tasks_of_the_document_go_on(log: Log, handler: Handler) -> None:
    await log.send("a", version=2)
    await log.cancel("a", version=1)
    await log.cancel("b", version=2)
    assert handler.cancelled == []
    assert handler.leases["a@2"].ended is None


async def test_work_behind_cancelled_work_starts_when_it_is_closed(
    log: Log, handler: Handler
) -> None:
    gate = handler.cancel_waits = asyncio.Event()
    await log.send("a", version=1)
    await log.cancel("a", version=1)
    await log.send("a", version=2)
    assert "a@2" not in handler.began
    gate.set()
    await settled()
    assert (handler.cancelled, handler.superseded) == (["a@1"], [])
    assert handler.began[-1] == "a@2"


async def test_cancelling_twice_is_harmless(log: Log, handler: Handler) -> None:
    gate = handler.cancel_waits = asyncio.Event()
    await log.send("a")
    await log.cancel("a")
    await log.cancel("a")
    gate.set()
    await settled()
    assert handler.cancelled == ["a@1"]
    assert log.offsets == [0, 1, 2]


async def test_superseded_work_that_is_cancelled_before_it_has_ended_ends_as_cancelled(
    log: Log, handler: Handler
) -> None:
    await log.send("a", version=1)
    both = [
        asyncio.create_task(log.send("a", version=2)),
        asyncio.create_task(log.cancel("a", version=1, topic=BULK)),
    ]
    await asyncio.gather(*both)
    await settled()
    assert (handler.cancelled, handler.superseded) == (["a@1"], [])
    assert handler.began[-1] == "a@2"


async def test_closing_goes_on_for_a_redelivered_record(log: Log, handler: Handler) -> None:
    gate = handler.cancel_waits = asyncio.Event()
    await log.send("a", topic=BULK)
    await log.cancel("a")
    log.turn()
    await log.deliver(BULK, 0)
    gate.set()
    await settled()
    assert handler.cancelled == ["a@1"]
    assert (BULK, 0, 2) in log.acknowledged


async def test_cancelled_work_of_a_lost_partition_is_left_to_its_new_owner(
    log: Log, handler: Handler, dispatcher: Dispatcher
) -> None:
    handler.cancel_waits = asyncio.Event()
    await log.send("a", topic=BULK)
    await log.cancel("a")
    log.turn(INTERACTIVE)
    await settled()
    assert handler.cancelled == []
    assert dispatcher.running == 0
    log.turn()
    await log.deliver(BULK, 0)
    assert handler.began.count("a@1") == 2


async def test_a_held_dispatcher_starts_nothing_and_lets_nothing_in(
    log: Log, handler: Handler, dispatcher: Dispatcher, clock: FrozenClock
) -> None:
    await log.send("a")
    await log.send("r", topic=RETRY, not_before_ms=_due(clock))
    dispatcher.hold("index")
    dispatcher.hold("event_log")
    waiting = asyncio.create_task(log.send("b"))
    clock.advance(61)
    await settled()
    await handler.end("a")
    assert not waiting.done()
    dispatcher.release("index")
    await settled()
    assert handler.began == ["a@1"]
    dispatcher.release("event_log")
    await waiting
    await settled()
    assert sorted(handler.began) == ["a@1", "b@1", "r@1"]


async def test_a_broken_handler_ends_the_run_while_retries_are_held(
    handler: Handler, clock: FrozenClock
) -> None:
    dispatcher = Dispatcher(handler, LIMITS, clock=clock)
    run = asyncio.create_task(dispatcher.run())
    log = Log(dispatcher)
    log.turn()
    await log.send("later", topic=RETRY, not_before_ms=_due(clock))
    await log.send("a")
    await handler.end("a", error=ValueError("planted"))
    with pytest.raises(HandlerBrokeError):
        await asyncio.wait_for(run, 5)
