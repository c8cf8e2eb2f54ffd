"""How the engine treats its callers. The model is one whose calls the test lets through."""

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from gated_model import LETHAL, POISON, POLICY, SPEC, Crowd, GatedBackend, Readings

from embedder.adapters.inference.engine import Engine
from embedder.adapters.tokenizer import HashTokenizer
from embedder.domain.parsed import TokenIds
from embedder.domain.vectors import Vectors
from kartoteka_contracts.errors import DocumentError, UnavailableError
from kartoteka_testkit.frozen_clock import FrozenClock


@pytest.fixture
def backend() -> GatedBackend:
    return GatedBackend()


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def readings() -> Readings:
    return Readings()


@pytest.fixture
async def engine(
    backend: GatedBackend, crowd: Crowd, clock: FrozenClock, readings: Readings
) -> AsyncIterator[Engine]:
    engine = Engine(
        model=SPEC,
        backend=backend,
        tokenizer=HashTokenizer(),
        policy=POLICY,
        meter=readings,
        clock=clock,
        expecting=crowd,
    )
    await engine.start()
    yield engine
    backend.open()
    await engine.close()


def passages(*tokens: int, length: int = 16) -> list[TokenIds]:
    return [np.full(length, token, np.int32) for token in tokens]


async def started(task: asyncio.Task[Vectors]) -> None:
    """Let a call put its rows into the queue."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread brings about."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come about")


async def test_callers_share_batches_and_get_their_own_rows(
    engine: Engine, backend: GatedBackend
) -> None:
    first = asyncio.create_task(engine.embed_passages(passages(1)))
    await backend.until_entered()
    others = [asyncio.create_task(engine.embed_passages(passages(n, n + 1))) for n in (20, 30)]
    for other in others:
        await started(other)
    backend.open()

    assert (await first)[:, 0].tolist() == [1]
    assert [(await other)[:, 0].tolist() for other in others] == [[20, 21], [30, 31]]
    assert backend.calls == [[1], [20, 21, 30, 31]]


async def test_a_query_goes_between_two_batches_of_a_window(
    engine: Engine, backend: GatedBackend, readings: Readings
) -> None:
    document = asyncio.create_task(engine.embed_passages(passages(*range(20, 28), length=32)))
    await backend.until_entered()
    query = asyncio.create_task(engine.embed_queries(["now"]))
    await until(lambda: readings.queue() == 1)
    backend.open()
    await asyncio.gather(query, document)

    assert [len(call) for call in backend.calls] == [2, 1, 2, 2, 2]


async def test_longer_passages_go_first(engine: Engine, backend: GatedBackend) -> None:
    first = asyncio.create_task(engine.embed_passages(passages(1)))
    await backend.until_entered()
    mixed = [*passages(20, length=16), *passages(21, length=64), *passages(22, length=32)]
    second = asyncio.create_task(engine.embed_passages(mixed))
    await started(second)
    backend.open()
    await first

    assert (await second)[:, 0].tolist() == [20, 21, 22]
    assert backend.calls[1:] == [[21], [22, 20]]


async def test_rows_of_a_caller_that_has_gone_are_not_run(
    engine: Engine, backend: GatedBackend
) -> None:
    first = asyncio.create_task(engine.embed_passages(passages(1)))
    await backend.until_entered()
    leaving = asyncio.create_task(engine.embed_passages(passages(*range(50, 60))))
    staying = asyncio.create_task(engine.embed_passages(passages(30)))
    await started(leaving)
    await started(staying)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    backend.open()
    await first

    assert (await staying)[:, 0].tolist() == [30]
    assert backend.calls == [[1], [30]]


async def test_a_caller_that_leaves_in_the_middle_of_a_window_is_left_out_of_its_rest(
    engine: Engine, backend: GatedBackend
) -> None:
    leaving = asyncio.create_task(engine.embed_passages(passages(*range(50, 58))))
    await backend.until_entered()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    backend.open()
    await engine.embed_passages(passages(30))

    assert backend.calls == [[50, 51, 52, 53], [30]]


async def test_one_bad_text_fails_its_document_only(
    engine: Engine, backend: GatedBackend, readings: Readings
) -> None:
    first = asyncio.create_task(engine.embed_passages(passages(1)))
    await backend.until_entered()
    bad = asyncio.create_task(engine.embed_passages(passages(POISON, 21)))
    good = asyncio.create_task(engine.embed_passages(passages(30, 31)))
    await started(bad)
    await started(good)
    backend.open()
    await first

    assert (await good)[:, 0].tolist() == [30, 31]
    with pytest.raises(DocumentError) as error:
        await bad
    assert error.value.code == "embedding_failed"
    assert error.value.retriable
    assert readings.failures == 1
    assert engine.trouble() is None
    assert (await engine.embed_passages(passages(40)))[:, 0].tolist() == [40]


async def test_numbers_that_are_none_are_a_failure_and_no_vectors(
    engine: Engine, backend: GatedBackend
) -> None:
    backend.open()

    with pytest.raises(DocumentError, match="the model failed"):
        await engine.embed_passages(passages(LETHAL))


async def test_a_huge_document_is_fed_in_windows_and_lets_others_in(
    engine: Engine, backend: GatedBackend, readings: Readings
) -> None:
    huge = asyncio.create_task(engine.embed_passages(passages(*range(100, 2100))))
    await backend.until_entered()
    waiting = readings.queue()
    small = asyncio.create_task(engine.embed_passages(passages(30)))
    await started(small)
    backend.open()
    await small
    done_when_small_was = len(backend.calls)

    assert (await huge)[:, 0].tolist() == list(range(100, 2100))
    assert waiting <= 2 * POLICY.window_rows
    assert done_when_small_was < 20
    assert (readings.rows, readings.tokens) == (2001, 2001 * 16)


async def test_many_callers_do_not_lengthen_the_queue_without_bound(
    engine: Engine, backend: GatedBackend, readings: Readings
) -> None:
    callers = [
        asyncio.create_task(engine.embed_passages(passages(*range(20, 60)))) for _ in range(60)
    ]
    await backend.until_entered()
    for caller in callers:
        await started(caller)

    assert readings.queue() <= 16 * POLICY.window_rows
    backend.open()
    for caller in callers:
        assert (await caller)[:, 0].tolist() == list(range(20, 60))


async def test_a_window_waits_while_others_are_about_to_come(
    engine: Engine, backend: GatedBackend, crowd: Crowd
) -> None:
    crowd.coming = True
    backend.open()
    alone = asyncio.create_task(engine.embed_passages(passages(20)))
    await started(alone)
    joined = await engine.embed_passages(passages(*range(30, 37)))

    assert joined[:, 0].tolist() == list(range(30, 37))
    assert (await alone)[:, 0].tolist() == [20]
    assert backend.calls[0] == [20, 30, 31, 32]


async def test_a_window_waits_no_longer_than_it_may(
    engine: Engine, backend: GatedBackend, crowd: Crowd, clock: FrozenClock
) -> None:
    crowd.coming = True
    backend.open()
    alone = asyncio.create_task(engine.embed_passages(passages(20)))
    await started(alone)
    clock.advance(5.0)

    assert (await alone)[:, 0].tolist() == [20]


async def test_a_query_does_not_wait_for_a_window_to_fill(
    engine: Engine, backend: GatedBackend, crowd: Crowd
) -> None:
    crowd.coming = True
    backend.open()
    alone = asyncio.create_task(engine.embed_passages(passages(20)))
    await started(alone)

    await engine.embed_queries(["now"])
    assert not alone.done()
    crowd.coming = False
    await alone


async def test_closing_tells_those_who_wait_and_ends_the_thread(
    engine: Engine, backend: GatedBackend
) -> None:
    waiting = asyncio.create_task(engine.embed_passages(passages(*range(20, 60))))
    await backend.until_entered()
    backend.open()
    await engine.close()

    with pytest.raises(UnavailableError) as error:
        await waiting
    assert error.value.code == "shutting_down"
    assert backend.closed
    assert not engine.loaded
    with pytest.raises(UnavailableError):
        await engine.embed_passages(passages(1))


async def test_closing_twice_or_before_the_start_is_fine(backend: GatedBackend) -> None:
    engine = Engine(model=SPEC, backend=backend, tokenizer=HashTokenizer())

    await engine.close()
    await engine.close()
    assert engine.trouble() is None


async def test_a_model_that_cannot_be_loaded_fails_liveness_and_its_callers(
    backend: GatedBackend,
) -> None:
    backend.broken_load = True
    engine = Engine(model=SPEC, backend=backend, tokenizer=HashTokenizer())
    await engine.start()

    with pytest.raises(UnavailableError, match="no such file"):
        await engine.wait_loaded()
    with pytest.raises(UnavailableError, match="no such file"):
        await engine.embed_passages(passages(1))
    assert "no such file" in (engine.trouble() or "")
    assert not engine.loaded
    await engine.close()


async def test_a_thread_that_dies_tells_everybody(engine: Engine, backend: GatedBackend) -> None:
    backend.width = 0
    under_way = asyncio.create_task(engine.embed_passages(passages(*range(20, 40))))

    with pytest.raises(UnavailableError, match="ValueError"):
        await under_way
    with pytest.raises(UnavailableError, match="ValueError"):
        await engine.embed_queries(["x"])
    assert "ValueError" in (engine.trouble() or "")


async def test_a_batch_without_end_fails_liveness(
    engine: Engine, backend: GatedBackend, clock: FrozenClock
) -> None:
    caller = asyncio.create_task(engine.embed_passages(passages(1)))
    await backend.until_entered()
    assert engine.trouble() is None
    clock.advance(121)

    assert "at one batch" in (engine.trouble() or "")
    backend.open()
    await caller
    assert engine.trouble() is None


async def test_it_is_loaded_once_the_thread_says_so(engine: Engine) -> None:
    await engine.wait_loaded()

    assert engine.loaded
