"""What a person deletes stays deleted, whatever its object's times say and however long it lies."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from indexing_world import CABINET, delivered
from reconcile_world import DAY
from reindex_world import ReindexWorld

from embedder.domain.outcome import RunEnded
from embedder.usecases.reconcile_report import Mend
from kartoteka_contracts.ids import Version
from kartoteka_contracts.keys import cabinet_settings_key
from kartoteka_contracts.reindex import RunResult


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReindexWorld]:
    made = ReindexWorld(tmp_path)
    await made.index.ensure()
    await made.configure("docs")
    yield made
    await made.index.close()


async def _deleted(world: ReindexWorld, path: str = "a.txt") -> None:
    """Have a person delete the document of an object, now."""
    world.later(timedelta(hours=1))
    job = await world.delete(external_id=f"docs://{path}", accepted_at=world.clock.now())
    await world.run(job)
    world.later(timedelta(hours=1))


async def _ran(world: ReindexWorld) -> RunResult:
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    world.later(timedelta(hours=1))
    return end.result


# --- tombstones ---------------------------------------------------------------------------------


async def test_a_deleted_document_of_a_source_does_not_come_back_with_time(
    world: ReindexWorld,
) -> None:
    await world.copied("a.txt")
    await _deleted(world)
    for _ in range(2):
        world.later(46 * DAY)
        assert Mend.TOMBSTONES not in (await world.reconcile()).mended
        assert (await _ran(world)).total == 0
        assert await world.texts() == []


async def test_a_tombstone_goes_where_no_source_can_bring_the_document_back(
    world: ReindexWorld,
) -> None:
    await world.copied("a.txt")
    await _deleted(world)
    await world.configure("other")
    world.later(46 * DAY)
    assert (await world.reconcile()).mended[Mend.TOMBSTONES] == 1


async def test_the_tombstone_of_a_vanished_document_goes(world: ReindexWorld) -> None:
    await world.copied("a.txt", "b.txt")
    world.remove("a.txt")
    assert (await _ran(world)).counts.vanished == 1
    world.later(46 * DAY)
    assert (await world.reconcile()).mended[Mend.TOMBSTONES] == 1


async def test_a_tombstone_stays_while_nobody_can_read_the_settings(world: ReindexWorld) -> None:
    await world.copied("a.txt")
    await _deleted(world)
    newest = cabinet_settings_key(CABINET.cabinet_id, Version(world.version()))
    await world.objects.create(newest, b"{")
    world.later(46 * DAY)
    assert Mend.TOMBSTONES not in (await world.reconcile()).mended


# --- the object that was deleted, and another ---------------------------------------------------


async def test_a_deleted_object_of_a_time_to_come_stays_deleted(world: ReindexWorld) -> None:
    world.sources.folders["docs"].write("a.txt", "text", world.clock.now() + 400 * DAY)
    await _ran(world)
    await _deleted(world)
    for _ in range(2):
        assert (await _ran(world)).total == 0
        world.later(300 * DAY)
    assert await world.texts() == []


async def test_another_object_in_a_deleted_ones_place_is_indexed_however_old_it_is(
    world: ReindexWorld,
) -> None:
    await world.copied("a.txt")
    await _deleted(world)
    world.sources.folders["docs"].write("a.txt", "moved here", world.clock.now() - 400 * DAY)
    assert (await _ran(world)).counts.new == 1
    assert await world.texts() == ["moved here"]
    assert (await _ran(world)).total == 0


async def test_what_is_deleted_twice_stays_deleted_after_its_records_are_gone(
    world: ReindexWorld,
) -> None:
    world.sources.folders["docs"].write("a.txt", "text", world.clock.now() + 400 * DAY)
    await _ran(world)
    await _deleted(world)
    world.later(46 * DAY)
    await world.reconcile()
    await _deleted(world)
    world.later(400 * DAY)
    assert (await _ran(world)).total == 0


async def test_a_copy_that_is_deleted_before_it_is_decided_stays_deleted(
    world: ReindexWorld,
) -> None:
    await world.copied("a.txt")
    world.write("a.txt", "changed")
    await world.deliver(world.request())
    await world.deliver(world.queue.pop(0))
    await _deleted(world)
    await world.do_children()
    await world.drive()
    assert (await _ran(world)).total == 0
    assert await world.texts() == []


async def test_the_objects_of_a_deleted_cabinet_stay_deleted_and_others_are_indexed(
    world: ReindexWorld,
) -> None:
    folder = world.sources.folders["docs"]
    for path in ("a.txt", "b.txt"):
        folder.write(path, f"text of {path}", world.clock.now() + 400 * DAY)
    await _ran(world)
    await world.run(delivered(await world.delete_cabinet()))
    world.later(timedelta(hours=1))
    assert (await _ran(world)).total == 0
    folder.write("b.txt", "another", world.clock.now() - 400 * DAY)
    assert (await _ran(world)).counts.new == 1
    assert await world.texts() == ["another"]


async def test_a_deleted_document_does_not_count_for_a_source_that_lists_nothing(
    world: ReindexWorld,
) -> None:
    await world.copied("a.txt")
    await _deleted(world)
    world.remove("a.txt")
    assert (await _ran(world)).total == 0
