"""A run whose cabinet is deleted meanwhile, wherever it is just then: nothing of it appears."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from indexing_world import delivered
from reconcile_world import HOUR
from reindex_world import ReindexWorld, Ticking

from embedder.domain.outcome import RunEnded
from embedder.planner_ports import CopiedObject
from kartoteka_contracts.cabinets import Source
from kartoteka_contracts.reindex import ReindexMode


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReindexWorld]:
    made = ReindexWorld(tmp_path, page_size=500)
    await made.index.ensure()
    await made.configure("docs")
    yield made
    await made.index.close()


async def _delete(world: ReindexWorld) -> None:
    """Delete the cabinet, to the end."""
    await world.configure()
    await world.settle(delivered(await world.delete_cabinet()))


async def _bodies(world: ReindexWorld) -> list[str]:
    return await world.objects.keys("cabinets/7/bodies/")


async def test_a_copy_that_ends_after_its_cabinets_delete_is_deleted_too(
    world: ReindexWorld,
) -> None:
    paths = [f"{n:02d}.txt" for n in range(10)]  # the last two are another batch
    for path in paths:
        world.write(path, f"text of {path}")
    await world.deliver(world.request())
    plain, begun, may_go = world.sources.copy, asyncio.Event(), asyncio.Event()

    async def copy(source: Source, path: str, *, to_key: str) -> CopiedObject:
        if path == "03.txt":
            begun.set()
            await may_go.wait()
        return await plain(source, path, to_key=to_key)

    world.sources.copy = copy  # type: ignore[method-assign,assignment]  # one copy takes long
    step = asyncio.create_task(world.deliver(world.queue.pop(0)))
    await begun.wait()
    await _delete(world)
    may_go.set()
    await step
    await world.do_children()
    assert await world.texts() == []
    assert await _bodies(world) == []
    assert world.sources.copied.count("08.txt") == 0
    (end,) = await world.drive()
    assert isinstance(end, RunEnded)
    assert (end.result.success, end.result.overtaken) == (0, 10)
    assert await world.texts() == []
    await world.assert_whole()
    world.later(2 * HOUR)
    world.log.sent.clear()
    await world.reconcile()
    assert world.emitted() == []


@dataclass
class Appointment:
    """Does something once: when a place is reached for the n-th time.

    Which tick of all that is varies, since objects are copied side by side; this does not.
    """

    happen: Callable[[], Awaitable[None]]
    place: str = ""
    nth: int = 0
    reached: Counter[str] = field(default_factory=Counter)

    async def tick(self, place: str) -> None:
        self.reached[place] += 1
        if place == self.place and self.reached[place] == self.nth:
            await self.happen()


async def _run_until_deleted(folder: Path, place: str, nth: int) -> Counter[str]:
    """Run with the cabinet deleted at that place; returns how often each place was reached."""
    world = ReindexWorld(folder, page_size=500)
    await world.index.ensure()
    await world.configure("docs")
    await world.copied("known.txt", "gone.txt")
    await world.uploaded("uploaded", "u.txt")
    world.write("new.txt", "new")
    world.remove("gone.txt")
    appointment = Appointment(lambda: _delete(world), place, nth)
    request = world.request(mode=ReindexMode.FULL, is_vanishing_confirmed=True)
    await world.drive(request, around=lambda port: Ticking(port, appointment))
    if nth:
        assert appointment.reached[place] >= nth, place
        await world.do_children()
        assert await world.texts() == [], (place, nth)
        assert await _bodies(world) == [], (place, nth)
    await world.index.close()
    return appointment.reached


async def test_nothing_appears_whenever_the_cabinet_is_deleted(tmp_path: Path) -> None:
    places = await _run_until_deleted(tmp_path / "plain", "", 0)
    assert {"after copy", "before create", "after create", "after send"} <= places.keys()
    for place, times in places.items():
        for nth in range(1, times + 1):
            await _run_until_deleted(tmp_path / f"{place}-{nth}", place, nth)
