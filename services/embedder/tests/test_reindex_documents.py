"""What a run does about documents: what differs is done once, what does not costs nothing."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from indexing_world import CABINET, delivered
from reindex_world import ReindexWorld

from embedder.domain.outcome import RunEnded
from kartoteka_contracts.ids import document_id
from kartoteka_contracts.reindex import ReindexMode, RunCounts
from kartoteka_testkit.builders import EPOCH


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReindexWorld]:
    made = ReindexWorld(tmp_path)
    await made.index.ensure()
    await made.configure("docs")
    yield made
    await made.index.close()


async def test_new_objects_become_documents(world: ReindexWorld) -> None:
    world.write("a.txt", "first")
    world.write("in/b.txt", "second\nthird")
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=2, new=2)
    assert (end.result.success, end.result.total, end.result.failed) == (2, 2, 0)
    assert await world.texts() == ["first", "second", "third"]
    manifest = await world.document("docs://in/b.txt")
    assert manifest is not None
    assert manifest.published is not None
    assert manifest.source is not None
    assert (manifest.source.source, manifest.source.path) == ("docs", "in/b.txt")
    assert manifest.published.filename == "b.txt"
    assert manifest.published.metadata == {"source": "docs", "path": "in/b.txt"}


async def test_what_has_not_changed_costs_nothing(world: ReindexWorld) -> None:
    await world.uploaded("uploaded", "u.txt")
    await world.copied("a.txt", "b.txt", "c.txt")
    rows, calls = world.embedder.rows, world.extractor.calls
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=4, unchanged=4)
    assert end.result.total == 0
    assert (world.embedder.rows, world.extractor.calls) == (rows, calls)
    assert world.sources.copied == []
    assert world.children == []


async def test_a_changed_object_is_copied_and_no_other(world: ReindexWorld) -> None:
    await world.copied("a.txt", "b.txt", "c.txt")
    world.write("b.txt", "changed")
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=3, changed=1, unchanged=2)
    assert world.sources.copied == ["b.txt"]
    assert await world.texts() == ["changed", "text of a.txt", "text of c.txt"]


async def test_a_vanished_object_goes_and_comes_back_with_its_object(world: ReindexWorld) -> None:
    await world.copied("a.txt", "b.txt", "c.txt")
    kept = world.sources.folders["docs"].objects["b.txt"]
    world.remove("b.txt")
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert (end.result.counts.vanished, end.result.success) == (1, 1)
    assert await world.texts() == ["text of a.txt", "text of c.txt"]
    again = await world.reindex()
    assert isinstance(again, RunEnded)
    assert again.result.total == 0
    world.sources.folders["docs"].objects["b.txt"] = kept
    back = await world.reindex()
    assert isinstance(back, RunEnded)
    assert back.result.counts.new == 1
    assert await world.texts() == ["text of a.txt", "text of b.txt", "text of c.txt"]


async def test_what_a_user_deleted_stays_deleted_until_its_object_changes(
    world: ReindexWorld,
) -> None:
    folder = world.sources.folders["docs"]
    folder.write("a.txt", "old text", EPOCH - timedelta(days=1))
    folder.write("b.txt", "other text", EPOCH + timedelta(days=1))
    assert isinstance(await world.reindex(), RunEnded)
    await world.run(await world.delete(external_id="docs://a.txt"))  # its record is of EPOCH
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=1, unchanged=1)
    folder.write("a.txt", "new text", EPOCH + timedelta(days=1))
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=2, new=1, unchanged=1)
    assert await world.texts() == ["new text", "other text"]


async def test_an_upload_is_not_touched_by_an_object_of_its_name(world: ReindexWorld) -> None:
    await world.uploaded("uploaded", "docs://a.txt")
    world.write("a.txt", "outside")
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=1, unchanged=1)
    world.remove("a.txt")
    world.write("b.txt", "other")
    assert isinstance(await world.reindex(), RunEnded)
    assert await world.texts() == ["other", "uploaded"]


async def test_another_fingerprint_rebuilds_everything_under_a_new_epoch(
    world: ReindexWorld,
) -> None:
    await world.uploaded("uploaded", "u.txt")
    await world.uploaded("", "empty.txt")
    await world.copied("a.txt")
    world.extractor.fingerprint = "words-2"
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=3, stale=3)
    assert end.result.success == 3
    assert world.sources.copied == []
    for name in ("u.txt", "empty.txt", "docs://a.txt"):
        manifest = await world.document(name)
        assert manifest is not None
        assert manifest.epoch > 0
        assert manifest.fingerprint == "words-2"
    manifest = await world.document("docs://a.txt")
    assert manifest is not None
    assert manifest.source is not None
    again = await world.reindex()
    assert isinstance(again, RunEnded)
    assert again.result.total == 0


async def test_full_indexes_everything_anew_but_what_failed(world: ReindexWorld) -> None:
    await world.uploaded("one", "u.txt")
    await world.uploaded("!malformed", "bad.txt")
    calls = world.extractor.calls
    end = await world.reindex(mode=ReindexMode.FULL)
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=2, forced=1, failed_before=1)
    assert world.extractor.calls == calls + 1
    (event,) = world.children
    assert getattr(event, "is_forced", False)


async def test_failed_tries_what_failed_and_lists_no_source(world: ReindexWorld) -> None:
    await world.copied("kept.txt")
    await world.uploaded("one", "u.txt")
    await world.uploaded("!malformed", "bad.txt")
    world.write("a.txt", "new")
    listings = world.sources.listings
    forecast = await world.planner().plan(CABINET, ReindexMode.FAILED)
    assert forecast.fault is None
    end = await world.reindex(mode=ReindexMode.FAILED)
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=3, forced=1, unchanged=2)
    assert (end.result.success, end.result.failed) == (0, 1)
    (error,) = end.result.errors
    assert (error.external_id, error.code) == ("bad.txt", "malformed")
    assert world.sources.listings == listings


async def test_only_the_documents_that_were_asked_for(world: ReindexWorld) -> None:
    await world.uploaded("one", "u.txt")
    await world.uploaded("two", "v.txt")
    only = document_id(CABINET.cabinet_id, "v.txt")
    end = await world.reindex(mode=ReindexMode.FULL, document_ids=[only])
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=1, forced=1)
    assert [child.document_id for child in world.children] == [only]


async def test_a_cancelled_copy_is_left_until_its_object_changes_or_goes(
    world: ReindexWorld,
) -> None:
    world.write("a.txt", "text")
    world.write("b.txt", "other")
    await world.deliver(world.request())
    await world.deliver(world.queue.pop(0))
    (cancelled,) = (child for child in world.children if child.external_id == "docs://a.txt")
    await world.run(await world.accept_cancel(delivered(cancelled)))
    (end,) = await world.drive()
    assert isinstance(end, RunEnded)
    assert (end.result.success, end.result.overtaken) == (1, 1)
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=2, unchanged=2)
    world.write("a.txt", "changed")
    end = await world.reindex()
    assert isinstance(end, RunEnded)
    assert end.result.counts == RunCounts(seen=2, changed=1, unchanged=1)
    assert await world.texts() == ["changed", "other"]
