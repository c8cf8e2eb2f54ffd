"""Events of a run that got lost are sent again, and those that only wait are not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from reindex_world import ReindexWorld

from embedder.domain.outcome import Continued, RunEnded
from kartoteka_index.manifest import Outcome


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReindexWorld]:
    made = ReindexWorld(tmp_path)
    await made.index.ensure()
    await made.configure("docs")
    yield made
    await made.index.close()


async def _emitted(world: ReindexWorld) -> None:
    """Plan a run and send its only page."""
    await world.deliver(world.request())
    await world.deliver(world.queue.pop(0))


async def test_events_that_got_lost_are_sent_again(world: ReindexWorld) -> None:
    world.write("a.txt", "text")
    await _emitted(world)
    lost = world.children.copy()
    world.children.clear()
    (end,) = await world.drive()
    assert isinstance(end, RunEnded)
    assert world.children[: len(lost)] == lost
    manifest = await world.document("docs://a.txt")
    assert manifest is not None
    assert manifest.outcome is Outcome.PUBLISHED


async def test_work_of_others_that_waits_does_not_hold_up_what_got_lost(
    world: ReindexWorld,
) -> None:
    world.write("a.txt", "a")
    world.write("b.txt", "b")
    await _emitted(world)
    lost, waiting = world.children
    world.children.clear()
    world.backlog.waits = 1000
    world.backlog.keys = {waiting.key}
    for _ in range(60):
        (step,) = world.queue
        world.queue.clear()
        assert isinstance(await world.deliver(step), Continued)
        world.clock.advance(30)
    assert world.children == [lost]


async def test_what_cannot_be_sent_again_is_an_error_beside_the_earlier_ones(
    world: ReindexWorld,
) -> None:
    """Or the run would wait for ever for a document that nobody is at."""
    world.write("a.txt", "a")
    world.write("b.txt", "b")
    world.sources.refused["a.txt"] = "source_object_too_large"
    await _emitted(world)
    (lost,) = world.children
    world.children.clear()
    await world.forget_records(lost.document_id)
    world.sources.refused["b.txt"] = "source_object_gone"
    (end,) = await world.drive()
    assert isinstance(end, RunEnded)
    assert (end.result.success, end.result.failed) == (0, 2)
    assert [error.code for error in end.result.errors] == [
        "source_object_too_large",
        "source_object_gone",
    ]
    assert world.children == []
