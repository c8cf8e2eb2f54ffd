import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from scheduler_world import NOON, LockStore, MemoryLock, World, configured, seen

from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId, run_task_id
from kartoteka_contracts.reindex import ReindexMode, ReindexTrigger
from kartoteka_contracts.schedule import SPREAD
from scheduler.domain.due import Due
from scheduler.usecases.tenure import LostLockError, Tenure
from scheduler.usecases.tick import Tick, TickFigures

CABINETS = range(1, 21)
DAY = timedelta(days=1)


async def ticked(world: World, kind: type[Tick] = Tick, *, in_flight: int = 4) -> TickFigures:
    figures = TickFigures()
    await world.tick(kind, in_flight=in_flight).run(figures)
    return figures


async def begun(world: World) -> None:
    """Let the very first tick be over, some cabinets be there, and a day pass."""
    await ticked(world)
    world.state.events += [configured(n) for n in CABINETS]
    world.clock.advance(DAY.total_seconds())


async def test_the_first_tick_remembers_the_time_and_asks_for_nothing() -> None:
    world = World()
    world.state.events.append(seen(7))
    figures = await ticked(world)
    assert (figures.due, figures.emitted, figures.watermark) == (0, 0, NOON)
    assert world.log.runs() == []
    assert world.log.watermarks() == [NOON]
    assert world.journal.entries == []


async def test_a_tick_asks_for_one_run_of_each_due_cabinet_and_then_moves_the_watermark() -> None:
    world = World()
    await begun(world)
    figures = await ticked(world)
    assert (figures.cabinets, figures.due, figures.emitted) == (20, 20, 20)
    runs = world.log.runs()
    assert {run.task_id for run in runs} == {
        run_task_id(run.cabinet_id, run.slot) for run in runs if run.slot is not None
    }
    assert {run.cabinet_id for run in runs} == set(CABINETS)
    assert {(run.mode, run.trigger) for run in runs} == {
        (ReindexMode.CHANGED, ReindexTrigger.SCHEDULE)
    }
    assert world.log.appended[-1].topic == "scheduler.state"
    assert world.log.watermarks()[-1] == NOON + DAY == figures.watermark
    assert world.journal.entries == [20]


async def test_nothing_due_moves_the_watermark_all_the_same() -> None:
    world = World()
    await begun(world)
    world.clock.advance(SPREAD.total_seconds())
    await ticked(world)
    world.clock.advance(60)
    figures = await ticked(world)
    assert (figures.due, figures.watermark) == (0, NOON + DAY + SPREAD + timedelta(minutes=1))
    assert world.journal.entries == [20]


async def test_an_event_that_is_sent_again_says_the_same() -> None:
    first, second = World(), World()
    for world, later in ((first, 0), (second, 120)):
        await begun(world)
        world.clock.advance(later)
        await ticked(world, in_flight=1)
    known = {record.key: record for record in first.log.on("cabinets.reindex")}
    same = [record for record in second.log.on("cabinets.reindex") if known[record.key] == record]
    # The few whose spread ends within the two minutes have a newer slot to begin with.
    assert len(same) >= 15
    assert all(Envelope.from_headers(record.headers).event_id for record in same)


async def test_a_clock_that_goes_back_asks_for_nothing_and_keeps_the_watermark() -> None:
    world = World()
    await begun(world)
    await ticked(world)
    back = World()
    back.log, back.state = world.log, world.state
    figures = await ticked(back)
    assert (figures.due, figures.watermark) == (0, NOON + DAY)
    assert world.log.watermarks()[-1] == NOON + DAY


async def completes_what_was_cut(kind: type[Tick], after: int) -> None:
    """Cut a tick off after some records; the next one must make everything good."""
    world = World()
    await begun(world)
    world.log.left = after
    with pytest.raises(UnavailableError):
        await ticked(world, kind, in_flight=1)
    cut = {run.task_id for run in world.log.runs()}
    world.log.left = None
    world.clock.advance(1)
    await ticked(world, kind, in_flight=1)
    runs = world.log.runs()
    assert {run.cabinet_id for run in runs} == set(CABINETS)
    assert cut <= {run.task_id for run in runs}
    assert len({(run.cabinet_id, run.slot) for run in runs}) == len(CABINETS)
    assert len({run.task_id for run in runs}) == len(CABINETS)


@pytest.mark.parametrize("after", [0, 1, 7, 19, 20])
async def test_what_a_crash_left_undone_the_next_tick_does_with_the_same_ids(after: int) -> None:
    await completes_what_was_cut(Tick, after)


class MarksFirst(Tick):
    """Planted: the watermark moves before the requests are acknowledged."""

    async def _emit(self, found: list[Due], figures: TickFigures, tenure: Tenure) -> None:
        await self._move(figures, self.clock.now(), tenure)
        await super()._emit(found, figures, tenure)


async def test_the_planted_early_watermark_is_caught() -> None:
    with pytest.raises(AssertionError):
        await completes_what_was_cut(MarksFirst, 7)


async def test_a_failure_keeps_the_figures_of_what_was_emitted() -> None:
    world = World()
    await begun(world)
    world.log.left = 7
    figures = TickFigures()
    with pytest.raises(UnavailableError):
        await world.tick(in_flight=1).run(figures)
    assert (figures.due, figures.emitted, figures.watermark) == (20, 7, NOON)


async def test_where_another_holds_the_lock_nothing_is_read_or_written() -> None:
    world = World()
    await begun(world)
    before = len(world.log.appended)
    world.state.is_away = True
    world.locks.holder, world.locks.until = "another", world.clock.now() + DAY
    figures = await ticked(world)
    assert figures.is_held_elsewhere
    assert len(world.log.appended) == before
    assert world.locks.holder == "another"


async def test_the_lock_is_released_also_after_a_failure() -> None:
    world = World()
    await begun(world)
    world.log.left = 3
    with pytest.raises(UnavailableError):
        await ticked(world)
    assert world.locks.holder is None


class TakenOver(MemoryLock):
    """A lock that is ours once, and another's from then on."""

    async def acquire(self) -> bool:
        is_ours = await super().acquire()
        self.store.holder, self.store.until = "another", self._clock.now() + DAY
        return is_ours


class KeeperGone(MemoryLock):
    """A lock whose keeper goes away once it is ours."""

    async def acquire(self) -> bool:
        is_ours = await super().acquire()
        self.store.is_away = True
        return is_ours


class WaitingLog:
    """Lets a tick go on behind its fifth request only when the lock was asked for again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._send = world.log.send
        self._count = 0

    async def send(
        self, topic: str, *, key: str, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> object:
        self._count += 1
        if self._count == 5:
            await self._world.locks.was_asked.wait()
            if self._world.locks.is_away:  # then it is lost when its time is over, not before
                self._world.clock.advance(DAY.total_seconds())
        return await self._send(topic, key=key, value=value, headers=headers)


@pytest.mark.parametrize("kind", [TakenOver, KeeperGone])
async def test_a_lock_that_is_lost_in_the_middle_stops_the_emitting(
    kind: type[MemoryLock],
) -> None:
    world = World()
    await begun(world)
    world.locks = LockStore()
    world.lock = kind(world.locks, "me", world.clock, seconds=0.03)
    tick = Tick(
        state=world.state,
        log=WaitingLog(world),
        lock=world.lock,
        journal=world.journal,
        clock=world.clock,
        in_flight=1,
    )
    figures = TickFigures()
    with pytest.raises(LostLockError):
        await tick.run(figures)
    assert figures.emitted == len(world.log.runs()) <= 5
    assert world.log.watermarks() == [NOON]


async def test_two_at_once_ask_for_the_same_runs() -> None:
    world = World()
    await begun(world)
    world.lock = MemoryLock(world.locks, "me", world.clock)
    other = Tick(
        state=world.state,
        log=world.log,
        lock=MemoryLock(LockStore(), "of another cluster", world.clock),
        journal=world.journal,
        clock=world.clock,
        in_flight=4,
    )
    await asyncio.gather(ticked(world), other.run(TickFigures()))
    runs = world.log.runs()
    assert len(runs) == 40
    assert len({run.task_id for run in runs}) == 20


def test_the_id_of_a_run_never_changes() -> None:
    slot = datetime.fromisoformat("2026-06-01T12:00:00+00:00")
    assert run_task_id(CabinetId(7), slot) == run_task_id(CabinetId(7), NOON)
