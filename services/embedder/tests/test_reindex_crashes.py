"""A crash at any await of a run, and whatever is delivered twice, changes nothing of its end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from indexing_world import CABINET, Countdown, Crash
from reindex_world import ReindexWorld, Ticking

from embedder.domain.outcome import Continued, Outcome, RunEnded, RunFailed
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import child_task_id, document_id
from kartoteka_contracts.reindex import ReindexRequested, RunContinued, RunCounts


@dataclass
class _Scene:
    request: ReindexRequested
    names: set[str]
    """Documents that must be sent."""
    texts: list[str]
    """What a search finds afterwards."""


async def _everything(world: ReindexWorld) -> _Scene:
    """One of each: new, changed, vanished, stale and unchanged."""
    await world.uploaded("stale", "stale.txt")
    world.extractor.fingerprint = "words-2"
    await world.uploaded("fresh", "fresh.txt")
    for path in ("changed.txt", "gone.txt", "same.txt"):
        world.write(path, f"text of {path}")
    await world.drive(world.request(document_ids=_ids("changed.txt", "gone.txt", "same.txt")))
    world.forget()
    world.write("changed.txt", "changed")
    world.remove("gone.txt")
    world.write("new.txt", "new")
    names = {"stale.txt", "docs://changed.txt", "docs://gone.txt", "docs://new.txt"}
    texts = sorted(["stale", "fresh", "changed", "new", "text of same.txt"])
    return _Scene(request=world.request(), names=names, texts=texts)


async def _refused(world: ReindexWorld) -> _Scene:
    """All objects of a source are gone."""
    world.write("a.txt", "text of a.txt")
    await world.drive(world.request())
    world.forget()
    world.remove("a.txt")
    return _Scene(request=world.request(), names=set(), texts=["text of a.txt"])


async def _partly_gone(world: ReindexWorld) -> _Scene:
    """One object cannot be copied, and one is overtaken by an upload."""
    world.write("a.txt", "a")
    world.write("b.txt", "b")
    world.sources.refused["a.txt"] = "source_object_too_large"
    return _Scene(request=world.request(), names={"docs://b.txt"}, texts=["b"])


def _ids(*paths: str) -> list[str]:
    return [document_id(CABINET.cabinet_id, f"docs://{path}") for path in paths]


async def _opened(folder: Path) -> ReindexWorld:
    world = ReindexWorld(folder)
    await world.index.ensure()
    await world.configure("docs")
    return world


@pytest.mark.parametrize("scene", [_everything, _refused, _partly_gone])
async def test_a_run_that_is_killed_anywhere_goes_on(
    scene: Callable[[ReindexWorld], Awaitable[_Scene]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """End the process before and after every call of every port, and deliver again."""
    whole: Outcome | None = None
    counted = 0
    while True:
        world = await _opened(tmp_path_factory.mktemp("world"))
        case = await scene(world)
        # The first round goes undisturbed: it says what the others must come to.
        countdown = Countdown(left=counted)
        ends = await world.drive(case.request, around=partial(Ticking, countdown=countdown))
        place = f"{countdown.happened_at} ({counted})"
        whole = whole or ends[-1]
        assert ends, place
        assert all(end == whole for end in ends), place
        await _assert_sent_once(world, case, place)
        assert await world.texts() == case.texts, place
        await world.assert_whole()
        await _assert_over(world, case, whole, place)
        await world.index.close()
        if counted and countdown.happened_at is None:
            break
        counted += 1
    assert counted > 10


async def _assert_sent_once(world: ReindexWorld, case: _Scene, place: str) -> None:
    """All are sent, and whatever is sent again is the same work of the same task."""
    documents = {document_id(CABINET.cabinet_id, name) for name in case.names}
    assert {child.document_id for child in world.children} == documents, place
    works = {
        (child.document_id, child.task_id, child.version, child.epoch) for child in world.children
    }
    assert len(works) == len(documents), place
    for child in world.children:
        assert child.task_id == child_task_id(case.request.task_id, child.document_id), place
    bodies = {
        (child.document_id, child.body_key)
        for child in world.children
        if isinstance(child, DocumentSubmitted)
    }
    assert len({document for document, _ in bodies}) == len(bodies), place


async def _assert_over(world: ReindexWorld, case: _Scene, end: Outcome, place: str) -> None:
    """Whatever of the run is delivered once more tells its end, or nothing."""
    sent = len(world.log.sent)
    for event in (case.request, *world.delivered):
        assert await world.deliver(event) in (end, Continued()), place
    assert len(world.log.sent) == sent, place


async def test_a_step_delivered_twice_sends_nothing_the_second_time(tmp_path: Path) -> None:
    world = await _opened(tmp_path)
    world.queue.append((await _everything(world)).request)
    while world.queue:
        event = world.queue.pop(0)
        outcome = await world.deliver(event)
        await world.do_children()
        sent = len(world.log.sent)
        again = await world.deliver(event)
        if isinstance(event, RunContinued):
            assert again == outcome
            assert len(world.log.sent) == sent
        world.clock.advance(30)
    assert isinstance(outcome, RunEnded)


async def test_an_object_that_was_given_up_is_not_tried_at_the_same_page_again(
    tmp_path: Path,
) -> None:
    """The run has counted it as failed by then."""
    world = await _opened(tmp_path)
    world.write("a.txt", "a")
    world.sources.refused["a.txt"] = "source_object_too_large"
    await world.deliver(world.request())
    (step,) = world.queue

    class DiesAtTheNextStep:
        def __init__(self, port: Any) -> None:
            self._port = port

        def __getattr__(self, name: str) -> Any:
            if name == "send":
                raise Crash
            return getattr(self._port, name)

    with pytest.raises(Crash):
        await world.deliver(step, around=DiesAtTheNextStep)
    world.sources.refused.clear()
    *_, end = await world.drive()
    assert isinstance(end, RunEnded)
    assert (end.result.failed, end.result.success) == (1, 0)
    assert world.sources.copied == ["a.txt"]
    assert world.children == []


async def test_a_document_counts_for_what_its_page_says(tmp_path: Path) -> None:
    """Also where it is another thing by the time that the plan is made anew."""
    world = await _opened(tmp_path)
    for name in ("a", "b", "c"):
        world.write(name, f"text {name}")
    request = world.request()
    countdown = Countdown(left=10**6)

    class DiesAtThePlan(Ticking):
        def __getattr__(self, name: str) -> Any:
            target = super().__getattr__(name)
            if name != "create":
                return target

            async def create(key: str, data: bytes) -> bool:
                if key.endswith("plan.json"):
                    raise Crash
                created: bool = await target(key, data)
                return created

            return create

    with pytest.raises(Crash):
        await world.deliver(request, around=partial(DiesAtThePlan, countdown=countdown))
    world.clock.advance(1)
    await world.uploaded("from the user", "docs://a")
    await world.upload("from the user", external_id="docs://b")
    *_, end = await world.drive(request)
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=3, new=3)
    assert (end.result.total, end.result.success, end.result.overtaken) == (3, 1, 2)


async def test_the_scenes_end_as_they_should(tmp_path: Path) -> None:
    world = await _opened(tmp_path / "everything")
    case = await _everything(world)
    (end,) = await world.drive(case.request)
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(
        seen=6, new=1, changed=1, vanished=1, stale=1, unchanged=2
    )
    assert (end.result.success, end.result.total) == (4, 4)
    world = await _opened(tmp_path / "refused")
    (end,) = await world.drive((await _refused(world)).request)
    assert isinstance(end, RunFailed)
    assert end.code == "vanish_guard"
