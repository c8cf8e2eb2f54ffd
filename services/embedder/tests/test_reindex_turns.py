"""Runs of a part never stand for runs of the whole, in whatever order they are asked for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from indexing_world import CABINET, Crash
from reindex_world import ReindexWorld

from embedder.domain.outcome import Continued, RunEnded, RunFailed, RunJoined
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import document_id
from kartoteka_contracts.reindex import ReindexMode, ReindexRequested, RunContinued

_ONE = {"document_ids": [document_id(CABINET.cabinet_id, "u.txt")]}
_NARROW: list[dict[str, Any]] = [_ONE, {"mode": ReindexMode.FAILED}]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReindexWorld]:
    made = ReindexWorld(tmp_path)
    await made.index.ensure()
    await made.configure("docs")
    yield made
    await made.index.close()


@pytest.mark.parametrize("narrow", _NARROW)
async def test_a_whole_run_is_not_old_because_a_newer_one_did_a_part(
    world: ReindexWorld, narrow: dict[str, Any]
) -> None:
    whole = world.request()
    world.write("a.txt", "text")
    assert isinstance(await world.reindex(**narrow), RunEnded)
    (end,) = await world.drive(whole)
    assert isinstance(end, RunEnded)
    assert await world.texts() == ["text"]


@pytest.mark.parametrize("narrow", _NARROW)
async def test_a_whole_run_begins_when_one_of_a_part_has_ended(
    world: ReindexWorld, narrow: dict[str, Any]
) -> None:
    await world.uploaded("!malformed" if "mode" in narrow else "one", "u.txt")
    world.write("a.txt", "text")
    part = world.request(**({"mode": ReindexMode.FULL} | narrow))
    whole = world.request()
    assert isinstance(await world.deliver(part), Continued)
    world.clock.advance(3)
    assert isinstance(await world.deliver(whole), Continued)
    assert world.queue[-1] == whole
    due = int(dict(world.log.sent[-1][3])["not_before"]) / 1000 - world.clock.now().timestamp()
    assert round(due) == 2
    first, last = await world.drive()
    assert isinstance(first, RunEnded)
    assert first.result.total == 1
    assert isinstance(last, RunEnded)
    assert last.result.counts.new == 1
    assert "text" in await world.texts()


async def test_a_request_waits_half_a_minute_at_most(world: ReindexWorld) -> None:
    await world.uploaded("!malformed", "u.txt")
    whole = world.request()
    await world.deliver(world.request(mode=ReindexMode.FAILED))
    world.clock.advance(500)
    await world.deliver(whole)
    due = int(dict(world.log.sent[-1][3])["not_before"]) / 1000 - world.clock.now().timestamp()
    assert round(due) == 30


async def test_a_full_run_waits_for_one_of_changes_and_then_begins(world: ReindexWorld) -> None:
    await world.uploaded("one", "u.txt")
    world.write("a.txt", "text")
    changed, full = world.request(), world.request(mode=ReindexMode.FULL)
    assert isinstance(await world.deliver(changed), Continued)
    assert isinstance(await world.deliver(full), Continued)
    *_, last = await world.drive()
    assert isinstance(last, RunEnded)
    assert last.result.counts.forced == 2


async def test_a_full_run_is_not_old_because_a_newer_one_did_the_changes(
    world: ReindexWorld,
) -> None:
    await world.uploaded("one", "u.txt")
    full = world.request(mode=ReindexMode.FULL)
    assert isinstance(await world.reindex(), RunEnded)
    (end,) = await world.drive(full)
    assert isinstance(end, RunEnded)
    assert end.result.counts.forced == 1


async def test_a_run_of_changes_joins_a_full_one(world: ReindexWorld) -> None:
    await world.uploaded("one", "u.txt")
    older = world.request()
    full, changed = world.request(mode=ReindexMode.FULL), world.request()
    await world.deliver(full)
    assert await world.deliver(changed) == RunJoined(run=full.task_id)
    await world.drive()
    assert await world.deliver(older) == RunJoined(run=full.task_id)


@pytest.mark.parametrize("narrow", _NARROW)
@pytest.mark.parametrize("is_refused", [False, True])
async def test_a_run_that_ended_before_another_does_not_begin_again(
    world: ReindexWorld, narrow: dict[str, Any], *, is_refused: bool
) -> None:
    await world.copied("a.txt")
    whole = world.request()
    if is_refused:
        world.remove("a.txt")
    (end,) = await world.drive(whole)
    assert isinstance(end, RunFailed if is_refused else RunEnded)
    part = world.request(**narrow)
    await world.drive(part)
    listings = world.sources.listings
    assert await world.deliver(whole) == RunJoined(run=part.task_id)
    assert world.sources.listings == listings


async def test_a_refused_run_does_not_make_an_older_one_old(world: ReindexWorld) -> None:
    await world.copied("a.txt")
    older = world.request(is_vanishing_confirmed=True)
    world.remove("a.txt")
    assert isinstance(await world.reindex(), RunFailed)
    (end,) = await world.drive(older)
    assert isinstance(end, RunEnded)
    assert await world.texts() == []


async def test_what_an_older_request_indexes_is_above_all_runs_before(world: ReindexWorld) -> None:
    """Or the run's events would be taken for older work, and it would wait for ever."""
    manifest = await world.uploaded("one", "u.txt")
    older, oldest = world.request(mode=ReindexMode.FULL), world.request(mode=ReindexMode.FULL)
    await world.reindex(mode=ReindexMode.FULL, document_ids=[manifest.document_id])
    ends = [*await world.drive(older), *await world.drive(oldest)]
    epochs = [child.epoch for child in world.children if isinstance(child, DocumentSubmitted)]
    assert epochs == sorted(set(epochs))
    assert len(epochs) == 3
    for end in ends:
        assert isinstance(end, RunEnded)
        assert (end.result.success, end.result.overtaken) == (1, 0)


async def test_a_run_that_has_stalled_is_driven_by_who_waits_for_it(world: ReindexWorld) -> None:
    await world.uploaded("!malformed", "u.txt")
    whole = world.request()
    part = world.request(mode=ReindexMode.FAILED)
    await world.deliver(part)
    world.queue.clear()  # the next step is lost
    await world.deliver(whole)
    assert world.queue == [whole]
    world.queue.clear()
    world.clock.advance(601)
    await world.deliver(whole)
    step, request = world.queue
    assert isinstance(step, RunContinued)
    assert step.task_id == part.task_id
    assert isinstance(request, ReindexRequested)
    first, last = await world.drive()
    assert isinstance(first, RunEnded)
    assert isinstance(last, RunEnded)


async def test_a_run_whose_state_was_taken_ends_at_its_next_step(world: ReindexWorld) -> None:
    """Or the views would show it as open for ever, and every request would join it."""
    world.write("a.txt", "text")
    await world.deliver(world.request())
    step = world.queue.pop(0)
    await world.lose_run_state()
    newer = world.request()
    assert isinstance((await world.drive(newer))[-1], RunEnded)
    assert await world.deliver(step) == RunJoined(run=newer.task_id)
    assert world.queue == []


async def test_a_listing_that_ends_its_worker_does_so_five_times_only(world: ReindexWorld) -> None:
    world.write("a.txt", "text")
    request = world.request()
    world.sources.strikes = Crash()
    for _ in range(5):
        with pytest.raises(Crash):
            await world.deliver(request)
    end = await world.deliver(request)
    assert isinstance(end, RunFailed)
    assert end.code == "unexpected"
    assert "5" in end.message
    world.sources.strikes = None
    assert isinstance(await world.reindex(), RunEnded)


async def test_what_is_away_for_long_does_not_use_up_the_tries(world: ReindexWorld) -> None:
    world.write("a.txt", "text")
    request = world.request()
    world.sources.strikes = UnavailableError("object_store_unavailable")
    for _ in range(9):
        with pytest.raises(UnavailableError):
            await world.deliver(request)
    world.sources.strikes = None
    *_, end = await world.drive(request)
    assert isinstance(end, RunEnded)
    assert end.result.success == 1
