"""Cancelling: of the work and its cancellation the first decision stands, and the mark tells it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from indexing_world import World

from embedder.domain.outcome import Cancelled, EndedElsewhere, Indexed
from kartoteka_contracts.keys import record_prefix


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.index.ensure()
    yield made
    await made.index.close()


async def _marks(world: World) -> list[str]:
    keys = await world.objects.keys("cabinets/7/records/")
    return [key for key in keys if key.endswith(".cancelled")]


async def test_a_cancellation_that_came_too_late_leaves_no_mark(world: World) -> None:
    job = await world.accept("one", version=1)
    assert isinstance(await world.run(job), Indexed)
    late = await world.accept_cancel(job)
    assert len(await _marks(world)) == 1
    assert isinstance(await world.run(late), EndedElsewhere)
    assert await _marks(world) == []
    assert await world.texts() == ["one"]
    event = job.submission
    assert len(await world.objects.keys(record_prefix(event.cabinet_id, event.document_id))) == 1


async def test_one_that_was_in_time_keeps_its_mark(world: World) -> None:
    job = await world.accept("one", version=1)
    cancellation = await world.accept_cancel(job)
    assert isinstance(await world.run(cancellation), Cancelled)
    assert isinstance(await world.run(job), Cancelled)
    assert len(await _marks(world)) == 1
    assert await world.texts() == []
