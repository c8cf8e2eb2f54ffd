"""Steps of reindex runs in the dispatcher: beside documents, after each other, each in its time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from dispatching_world import BULK, LIMITS, RETRY, RUNS, Handler, Log, dispatching, settled

from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_testkit.builders import submitted
from kartoteka_testkit.frozen_clock import FrozenClock
from kartoteka_testkit.run_events import run_continued


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def log(handler: Handler, clock: FrozenClock) -> AsyncIterator[Log]:
    async with dispatching(handler, clock) as dispatcher:
        log = Log(dispatcher)
        log.turn()
        yield log


async def _step(log: Log, number: int, *, cabinet: int = 1, due_ms: int | None = None) -> None:
    value = encode(run_continued(cabinet=cabinet, step=number))
    await log.send_raw(value, topic=RUNS, headers=Envelope(not_before_ms=due_ms).to_headers())


async def test_steps_of_a_cabinet_follow_each_other_and_none_ends_another(
    log: Log, handler: Handler
) -> None:
    for number in (1, 2):
        await _step(log, number)
    assert handler.began == ["run 1@1"]
    await handler.end("run 1", 1)
    assert handler.began == ["run 1@1", "run 1@2"]
    await handler.end("run 1", 2)
    assert handler.superseded == []
    assert log.acknowledged == [(RUNS, 0, 1), (RUNS, 1, 1)]


async def test_planning_and_documents_do_not_wait_for_each_other(
    log: Log, handler: Handler
) -> None:
    for cabinet in (1, 2, 3):
        await _step(log, 1, cabinet=cabinet)
    assert handler.began == ["run 1@1"], f"{LIMITS.planning} at once"
    for n in range(5):
        await log.send(f"d{n}")
    assert handler.began[1:] == ["d0@1", "d1@1", "d2@1", "d3@1"]
    await handler.end("run 1", 1)
    assert handler.began[-1] == "run 2@1"


async def test_too_many_steps_make_their_topic_wait_and_no_other(
    log: Log, handler: Handler
) -> None:
    for cabinet in range(1, LIMITS.reindex + 1):
        await _step(log, 1, cabinet=cabinet)
    waiting = asyncio.create_task(_step(log, 1, cabinet=99))
    await settled()
    assert not waiting.done()
    await log.send("d", topic=BULK)
    assert "d@1" in handler.began
    await handler.end("run 1", 1)
    await waiting


async def test_a_step_waits_for_its_time_without_room_of_retries(
    log: Log, handler: Handler, clock: FrozenClock
) -> None:
    due_ms = int(clock.now().timestamp() * 1000) + 50
    for n in range(LIMITS.held):
        await log.send(f"r{n}", topic=RETRY, not_before_ms=due_ms)
    await _step(log, 1, due_ms=due_ms)
    await _step(log, 2)
    assert handler.began == ["run 1@2"]
    await handler.end("run 1", 2)
    clock.advance(1)
    await asyncio.sleep(0.1)
    assert "run 1@1" in handler.began


async def test_a_due_step_does_not_wait_for_room_for_retries(
    log: Log, handler: Handler, clock: FrozenClock
) -> None:
    for n in range(LIMITS.retry):
        await log.send(f"r{n}", topic=RETRY)
    due_ms = int(clock.now().timestamp() * 1000) + 50
    await log.send("late", topic=RETRY, not_before_ms=due_ms)
    await _step(log, 1, due_ms=due_ms)
    clock.advance(1)
    await asyncio.sleep(0.1)
    assert "run 1@1" in handler.began
    assert "late@1" not in handler.began


async def test_a_rebalance_adopts_a_step_and_forgets_what_waits(
    log: Log, handler: Handler, clock: FrozenClock
) -> None:
    await _step(log, 1)
    await _step(log, 2, due_ms=int(clock.now().timestamp() * 1000) + 50)
    log.turn()
    await log.deliver(RUNS, 0)
    assert handler.began == ["run 1@1"]
    clock.advance(1)
    await asyncio.sleep(0.1)
    assert handler.began == ["run 1@1"], "it comes again with its partition"
    await handler.end("run 1", 1)
    assert log.acknowledged == [(RUNS, 0, 2)]


async def test_each_kind_of_work_is_read_on_its_own_topics_only(log: Log, handler: Handler) -> None:
    await log.send_raw(encode(run_continued()), topic=BULK)
    await log.send_raw(encode(submitted()), topic=RUNS)
    assert handler.rejected == [0, 0]
    assert handler.began == []
    assert log.acknowledged == [(BULK, 0, 1), (RUNS, 0, 1)]
