"""Runs among others: joined, refused, overtaken and held up; and nothing is removed lightly."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from indexing_world import CABINET, delivered
from reindex_world import ReindexWorld

from embedder.domain.outcome import Continued, RunEnded, RunFailed, RunJoined
from embedder.planner_ports import SourceError
from kartoteka_contracts.ids import child_task_id
from kartoteka_contracts.reindex import ReindexMode, RunCounts


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReindexWorld]:
    made = ReindexWorld(tmp_path)
    await made.index.ensure()
    await made.configure("docs")
    yield made
    await made.index.close()


async def test_a_request_while_a_run_is_open_joins_it(world: ReindexWorld) -> None:
    world.write("a.txt", "text")
    first, second = world.request(), world.request()
    assert isinstance(await world.deliver(first), Continued)
    assert await world.deliver(second) == RunJoined(run=first.task_id)
    (end,) = await world.drive()
    assert isinstance(end, RunEnded)
    third = await world.reindex()
    assert isinstance(third, RunEnded)


async def test_two_requests_of_one_slot_are_one_run(world: ReindexWorld) -> None:
    world.write("a.txt", "text")
    request = world.request()
    ends = await world.drive(request, request)
    assert len(world.children) == 1
    assert isinstance(ends[0], RunEnded)
    assert all(end == ends[0] for end in ends)
    assert await world.deliver(request) == ends[0]


async def test_an_older_request_than_the_last_run_does_nothing(world: ReindexWorld) -> None:
    older, newer = world.request(), world.request()
    world.write("a.txt", "text")
    await world.drive(newer)
    assert await world.deliver(older) == RunJoined(run=newer.task_id)
    assert len(world.children) == 1


async def test_planning_shows_that_it_goes_forward_though_it_sends_nothing(
    world: ReindexWorld,
) -> None:
    await world.copied("a.txt")
    before = world.beats
    assert isinstance(await world.reindex(), RunEnded)  # a listing, records, no work
    assert world.beats >= before + 2


async def test_a_listing_that_fails_removes_and_sends_nothing(world: ReindexWorld) -> None:
    await world.copied("a.txt", "b.txt")
    world.write("c.txt", "new")
    world.remove("a.txt")
    world.sources.folders["docs"].error = SourceError("source_unavailable", "denied")
    end = await world.reindex()
    assert isinstance(end, RunFailed)
    assert (end.code, end.message) == ("source_unavailable", "denied")
    assert world.children == []
    world.sources.folders["docs"].error = None
    assert isinstance(await world.reindex(), RunEnded)
    assert await world.texts() == ["new", "text of b.txt"]


async def test_more_objects_than_one_cabinet_may_have_are_refused(world: ReindexWorld) -> None:
    await world.configure("docs", "other")
    await world.copied("a.txt", "b.txt")
    world.most_objects = 3
    world.write("c.txt", "new", source="other")
    assert isinstance(await world.reindex(), RunEnded)
    world.write("d.txt", "new", source="other")
    world.forget()
    end = await world.reindex()
    assert isinstance(end, RunFailed)
    assert end.code == "source_too_large"
    assert "3" in end.message
    assert world.children == []
    forecast = await world.planner().plan(CABINET, ReindexMode.CHANGED)
    assert forecast.fault == (end.code, end.message)


async def test_an_empty_listing_removes_nothing_until_confirmed(world: ReindexWorld) -> None:
    await world.configure("docs", "other")
    await world.copied("a.txt", "b.txt")
    world.remove("a.txt")
    world.remove("b.txt")
    world.write("c.txt", "new", source="other")
    end = await world.reindex()
    assert isinstance(end, RunFailed)
    assert end.code == "vanish_guard"
    assert world.children == []
    assert len(await world.texts()) == 2
    forecast = await world.planner().plan(CABINET, ReindexMode.CHANGED)
    assert forecast.fault is not None
    assert forecast.fault[0] == "vanish_guard"
    sure = await world.reindex(is_vanishing_confirmed=True)
    assert isinstance(sure, RunEnded)
    assert sure.result.success == 3
    assert await world.texts() == ["new"]


async def test_a_source_that_is_no_longer_configured_keeps_its_documents(
    world: ReindexWorld,
) -> None:
    await world.copied("a.txt")
    await world.configure()
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=1, unchanged=1)


@pytest.mark.parametrize("change", ["changed", "vanished", "new"])
async def test_an_upload_between_listing_and_emitting_wins(
    world: ReindexWorld, change: str
) -> None:
    await world.copied("a.txt", "b.txt")
    path = {"changed": "a.txt", "vanished": "a.txt", "new": "c.txt"}[change]
    if change == "vanished":
        world.remove("a.txt")
    else:
        world.write(path, "from the source")
    assert isinstance(await world.deliver(world.request()), Continued)
    upload = await world.upload("from the user", external_id=f"docs://{path}")
    (step,) = world.queue
    world.queue.clear()
    assert isinstance(await world.deliver(step), Continued)
    await world.do_children()
    await world.run(upload)
    (end,) = await world.drive()
    assert isinstance(end, RunEnded)
    assert (end.result.overtaken, end.result.success, end.result.total) == (1, 0, 1)
    assert "from the user" in await world.texts()
    assert "from the source" not in await world.texts()
    assert world.sources.copied == []


async def test_an_upload_after_emitting_wins_too(world: ReindexWorld) -> None:
    world.write("a.txt", "from the source")
    await world.deliver(world.request())
    (step,) = world.queue
    world.queue.clear()
    await world.deliver(step)
    world.clock.advance(1)
    upload = await world.upload("from the user", external_id="docs://a.txt")
    await world.run(upload)
    (end,) = await world.drive()
    assert isinstance(end, RunEnded)
    assert end.result.overtaken == 1
    assert await world.texts() == ["from the user"]


@pytest.mark.parametrize("code", ["source_object_gone", "source_object_too_large"])
async def test_an_object_that_cannot_be_copied_is_an_error_of_the_run(
    world: ReindexWorld, code: str
) -> None:
    for name in ("a", "b", "c"):
        world.write(name, f"text {name}")
    world.sources.refused["b"] = code
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert (end.result.success, end.result.failed) == (2, 1)
    (error,) = end.result.errors
    assert (error.external_id, error.code) == ("docs://b", code)


async def test_a_source_that_goes_while_it_is_copied_fails_its_objects_only(
    world: ReindexWorld,
) -> None:
    await world.configure("docs", "other")
    world.write("a", "text a")
    world.write("b", "text b", source="other")
    await world.deliver(world.request())
    world.sources.folders["other"].error = SourceError("source_unavailable", "denied")
    (end,) = await world.drive()
    assert isinstance(end, RunEnded)
    assert (end.result.success, end.result.failed) == (1, 1)
    assert await world.texts() == ["text a"]


async def test_a_run_of_a_cabinet_deleted_meanwhile_sends_nothing_more(world: ReindexWorld) -> None:
    for name in ("a", "b", "c"):
        world.write(name, f"text {name}")
    await world.deliver(world.request())
    (step,) = world.queue
    world.queue.clear()
    await world.deliver(step)
    await world.do_children()
    world.clock.advance(10)
    await world.delete_cabinet()
    sent = len(world.children)
    (end,) = await world.drive()
    assert isinstance(end, RunEnded)
    assert len(world.children) == sent == 2
    result = end.result
    assert result.success + result.overtaken == result.total == 3


async def test_a_page_waits_while_workers_are_behind(world: ReindexWorld) -> None:
    world.write("a.txt", "text")
    world.backlog.waits = 2001
    await world.deliver(world.request())
    delays = []
    for _ in range(7):
        step = world.queue.pop(0)
        assert isinstance(await world.deliver(step), Continued)
        headers = dict(world.log.sent[-1][3])
        delays.append(int(headers["not_before"]) / 1000 - world.clock.now().timestamp())
    assert [round(delay) for delay in delays] == [1, 2, 4, 8, 16, 30, 30]
    assert world.children == []
    world.backlog.waits = 2000
    (end,) = await world.drive()
    assert isinstance(end, RunEnded)
    assert end.result.success == 1


async def test_documents_that_wait_for_a_worker_are_left_to_it(world: ReindexWorld) -> None:
    await world.upload("not yet", external_id="u.txt")
    end = await world.reindex(mode=ReindexMode.FULL)
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=1, pending=1)
    assert world.children == []


async def test_children_are_named_by_the_run_and_the_document(world: ReindexWorld) -> None:
    world.write("a.txt", "text")
    request = world.request()
    await world.drive(request)
    (child,) = world.children
    assert child.task_id == child_task_id(request.task_id, child.document_id)


async def test_a_run_tells_how_far_it_is(world: ReindexWorld) -> None:
    for name in ("a", "b", "c"):
        world.write(name, f"text {name}")
    await world.deliver(world.request())
    for _ in range(2):
        await world.deliver(world.queue.pop(0))
    await world.settle(delivered(world.children[0]))
    world.clock.advance(8)
    assert isinstance(await world.deliver(world.queue.pop(0)), Continued)
    first, *_, last = world.progress()
    assert (first.progress, first.result.total, first.result.eta_seconds) == (0.0, 3, None)
    assert (round(last.progress, 2), last.result.success) == (0.33, 1)
    assert last.result.eta_seconds == pytest.approx(16.0)
    assert last.result.counts == RunCounts(seen=3, new=3)


async def test_a_forecast_writes_nothing_and_says_what_the_run_then_does(
    world: ReindexWorld,
) -> None:
    await world.copied("a.txt", "b.txt")
    world.write("b.txt", "x\ny\nz")
    world.write("c.txt", "new")
    before = await world.snapshot()
    sent = len(world.log.sent)
    forecast = await world.planner().plan(CABINET, ReindexMode.CHANGED)
    assert await world.snapshot() == before
    assert len(world.log.sent) == sent
    assert forecast.total == 2
    assert forecast.chunks == 2
    assert forecast.estimated_seconds > 0
    assert forecast.fault is None
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == forecast.counts


async def test_a_run_that_is_given_up_lets_the_next_one_begin(world: ReindexWorld) -> None:
    world.write("a.txt", "text")
    request = world.request()
    await world.deliver(request)
    given_up = await world.planner().give_up(request, "unexpected", "planted")
    assert isinstance(given_up, RunFailed)
    assert given_up.result.total == 1
    assert await world.drive() == [given_up]
    assert isinstance(await world.reindex(), RunEnded)
