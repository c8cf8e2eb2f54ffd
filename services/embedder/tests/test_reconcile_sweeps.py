"""What nothing can ask for is removed; what is published, wanted or under way is not."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from indexing_world import CABINET, Countdown, delivered
from reconcile_world import DAY, HOUR, ReconcileWorld

from embedder.usecases.reconcile_report import Left, Mend, Seen
from embedder.usecases.reconcile_rules import Ages
from kartoteka_contracts.ids import Epoch
from kartoteka_contracts.keys import body_key, claim_key, record_prefix, record_version
from kartoteka_index.manifest import Outcome
from kartoteka_testkit import builders


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReconcileWorld]:
    world = ReconcileWorld(tmp_path)
    await world.index.ensure()
    yield world
    await world.index.close()


# --- chunks -------------------------------------------------------------------------------------


async def test_chunks_of_overtaken_works_go_and_published_ones_stay(world: ReconcileWorld) -> None:
    old = await world.upload("old")
    new = await world.upload("new\nand more")
    await world.run(new)
    await world.plant(old, 3)
    await world.plant(new, 2, epoch=1)  # of a replay that lost
    await world.plant(new, 300, epoch=0, version=old.submission.version - 1)
    world.later(2 * HOUR)
    report = await world.reconcile()
    # The replay is above the fence, has no record of its own and waits nowhere.
    assert report.mended == {Mend.ORPHAN_WORKS: 3, Mend.ORPHAN_CHUNKS: 305}
    assert report.seen[Seen.CHUNKS] == 307
    assert await world.texts() == ["and more", "new"]
    await world.assert_whole()


async def test_young_chunks_stay(world: ReconcileWorld) -> None:
    old, new = await world.upload("old"), await world.upload("new")
    await world.run(new)
    await world.plant(old, 3)
    world.later(HOUR / 2)
    assert (await world.reconcile()).mended == {}
    await world.plant(new, 3, epoch=world.version())
    world.later(HOUR * 0.75)
    assert (await world.reconcile()).mended == {Mend.ORPHAN_WORKS: 1, Mend.ORPHAN_CHUNKS: 3}


async def test_chunks_of_work_that_waited_for_long_and_runs_now_stay(world: ReconcileWorld) -> None:
    job = await world.upload("one")
    await world.run(job)
    replay = job.submission.model_copy(update={"epoch": Epoch(int(job.submission.version) + 1)})
    world.topics.put(delivered(replay))
    world.later(5 * HOUR)
    await world.plant(job, 3, epoch=replay.epoch)
    report = await world.reconcile()
    assert report.mended == {}
    assert +report.left == {Left.WAITING: 1}


async def test_chunks_of_work_that_is_sent_again_stay(world: ReconcileWorld) -> None:
    job = await world.upload("one")
    await world.plant(job, 3)
    world.later(5 * HOUR)
    report = await world.reconcile()
    assert report.mended == {Mend.SUBMITTED: 1}
    assert +report.left == {Left.UNDECIDED: 1}
    assert await world.process_emitted() == 1
    await world.assert_whole()


async def test_chunks_of_a_document_that_nothing_is_known_of_go(world: ReconcileWorld) -> None:
    stranger = delivered(builders.submitted(cabinet=9, version=world.version()))
    await world.plant(stranger, 2)  # in this cabinet
    world.later(2 * HOUR)
    assert (await world.reconcile()).mended == {Mend.ORPHAN_WORKS: 1, Mend.ORPHAN_CHUNKS: 2}


async def test_what_is_published_meanwhile_stays(world: ReconcileWorld) -> None:
    job = await world.upload("one\ntwo")
    world.topics.put(job)
    world.later(5 * HOUR)
    plain = world.index.manifests
    calls = 0

    async def manifests(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        found = await plain(*args)
        if calls == 2:  # as seen by the sweep: its chunks, not its manifest
            world.topics.waiting_events.clear()
            await world.run(job)
        return found

    await world.plant(job, 2)
    world.index.manifests = manifests  # type: ignore[method-assign,assignment]  # something happens in between
    await world.reconcile()
    assert await world.texts() == ["one", "two"]


async def test_nothing_of_work_under_way_is_removed_whenever_it_runs(tmp_path: Path) -> None:
    n, places = 0, set()
    while True:
        n += 1
        world = ReconcileWorld(tmp_path / str(n))
        await world.index.ensure()
        await world.run(await world.upload("before"))
        job = await world.upload("one\ntwo")
        world.topics.put(job)
        world.later(50 * DAY)

        async def beside(world: ReconcileWorld = world) -> None:
            await world.reconcile(Ages(grace=timedelta(0), orphan=timedelta(0)))

        countdown = Countdown(n, happen=beside)
        await world.run(job, countdown.around)
        assert await world.texts() == ["one", "two"]
        assert world.log.sent == []
        await world.assert_whole()
        await world.index.close()
        if countdown.happened_at is None:
            break
        places.add(countdown.happened_at)
    assert {"before decide", "after count", "after download"} <= places


# --- objects ------------------------------------------------------------------------------------


def _aged(world: ReconcileWorld, tmp_path: Path, key: str, age: timedelta) -> None:
    """Make an object older than its neighbours."""
    then = (world.clock.now() - age).timestamp()
    os.utime(tmp_path / "objects" / key, (then, then))


async def _lies(world: ReconcileWorld, key: str) -> bool:
    return await world.objects.exists(key)


async def test_a_body_without_record_goes_after_a_day(world: ReconcileWorld) -> None:
    job = await world.upload("one")
    await world.run(job)
    event = job.submission
    orphan = body_key(event.cabinet_id, event.document_id, builders.submitted().task_id)
    await world.objects.create(orphan, b"an upload that died")
    world.later(DAY)
    await world.reconcile()
    assert await _lies(world, orphan)
    world.later(3 * HOUR)
    report = await world.reconcile()
    assert report.mended == {Mend.BODIES_WITHOUT_RECORD: 1}
    assert not await _lies(world, orphan)
    assert await _lies(world, event.body_key)


async def test_bodies_that_tidying_left_go_and_those_that_may_be_needed_stay(
    world: ReconcileWorld,
) -> None:
    jobs = [await world.upload(text) for text in ("one", "two", "three", "!encrypted", "five")]
    overtaken, published, failed, undecided = jobs[0], jobs[2], jobs[3], jobs[4]
    await world.run(published)
    await world.objects.create(overtaken.submission.body_key, b"again")
    await world.run(failed)
    world.topics.put(undecided)
    world.later(3 * DAY)
    report = await world.reconcile()
    assert report.mended == {Mend.OBSOLETE_BODIES: 1}
    assert [await _lies(world, job.submission.body_key) for job in jobs] == [
        False,
        False,  # went when the third was published
        True,
        True,
        True,
    ]


async def test_bodies_of_a_deleted_document_go(world: ReconcileWorld) -> None:
    job = await world.upload("one")
    await world.run(await world.delete())
    await world.objects.create(job.submission.body_key, b"written late")
    world.later(3 * DAY)
    assert (await world.reconcile()).mended == {Mend.OBSOLETE_BODIES: 1}


async def test_a_damaged_record_keeps_the_bodies_of_its_document(world: ReconcileWorld) -> None:
    job = await world.upload("one")
    event = job.submission
    (key,) = await world.objects.keys(record_prefix(event.cabinet_id, event.document_id))
    await world.objects.delete([key])
    await world.objects.create(key, b"{")
    world.later(50 * DAY)
    await world.reconcile()
    assert await _lies(world, event.body_key)


async def test_older_records_go_after_45_days_and_the_newest_stays(world: ReconcileWorld) -> None:
    for text in ("one", "two", "three"):
        await world.run(await world.upload(text))
    event = (await world.upload("!encrypted")).submission
    prefix = record_prefix(event.cabinet_id, event.document_id)
    await world.settle(delivered(event))
    world.later(44 * DAY)
    assert (await world.reconcile()).mended == {}
    world.later(2 * DAY)
    assert (await world.reconcile()).mended == {Mend.OLD_RECORDS: 2}
    # The one that is published stays, too: its body is there to be indexed anew.
    assert len(await world.objects.keys(prefix)) == 2
    assert await world.texts() == ["three"]
    assert (await world.reconcile()).mended == {}


async def test_a_tombstone_goes_after_45_days_with_its_record(world: ReconcileWorld) -> None:
    job = await world.upload("one")
    await world.run(job)
    await world.run(await world.delete())
    world.later(44 * DAY)
    assert (await world.reconcile()).mended == {}
    world.later(2 * DAY)
    assert (await world.reconcile()).mended[Mend.TOMBSTONES] == 1
    assert (await world.snapshot())["manifests"] == {}
    assert await world.objects.keys("cabinets/") == []
    world.later(DAY)
    assert +(await world.reconcile()).mended == {}


async def test_a_tombstone_stays_where_the_document_was_uploaded_again(
    world: ReconcileWorld,
) -> None:
    await world.run(await world.delete())
    world.later(46 * DAY)
    again = await world.upload("again")
    world.topics.put(again)
    await world.reconcile(Ages(grace=timedelta(0)))
    assert (await world.manifest(again)).outcome is Outcome.DELETED
    await world.run(again)
    assert await world.texts() == ["again"]


async def test_a_tombstone_stays_where_the_document_was_deleted_again(
    world: ReconcileWorld,
) -> None:
    await world.run(await world.delete())
    world.later(46 * DAY)
    again = await world.delete()
    world.topics.put(again)
    await world.reconcile()
    (record,) = await world.objects.keys("cabinets/")
    assert record_version(record) == again.version
    assert (await world.manifest(again)).outcome is Outcome.DELETED


async def test_the_record_of_a_delete_stays_as_long_as_its_tombstone(
    world: ReconcileWorld, tmp_path: Path
) -> None:
    asked = world.clock.now() - 46 * DAY
    job = await world.accept_delete(version=int(asked.timestamp() * 1_000_000))
    await world.run(job)  # today
    (record,) = await world.objects.keys("cabinets/")
    _aged(world, tmp_path, record, 46 * DAY)
    assert (await world.reconcile()).mended == {}
    assert await _lies(world, record)


async def test_claims_go_after_a_day(world: ReconcileWorld, tmp_path: Path) -> None:
    old, young = (claim_key("abc", CABINET.cabinet_id, name, 0) for name in ("old", "young"))
    for key in (old, young):
        await world.objects.create(key, b"{}")
    _aged(world, tmp_path, old, timedelta(hours=25))
    _aged(world, tmp_path, young, timedelta(hours=23))
    report = await world.reconcile()
    assert report.mended == {Mend.OLD_CLAIMS: 1}
    assert report.seen[Seen.CLAIMS] == 2
    assert not await _lies(world, old)
    assert await _lies(world, young)


# --- all of it ----------------------------------------------------------------------------------


async def _ruin(world: ReconcileWorld) -> None:
    """Leave something of everything behind."""
    for name in ("a", "b"):
        await world.run(await world.upload(f"one\n{name}", external_id=name))
    overtaken = await world.upload("two", external_id="a")
    await world.run(await world.upload("three", external_id="a"))
    await world.plant(overtaken, 1200)
    await world.run(await world.delete(external_id="c"))
    await world.cancel(await world.upload("lost", external_id="d"))
    await world.delete(external_id="b")
    event = overtaken.submission
    await world.objects.create(
        body_key(event.cabinet_id, event.document_id, event.task_id) + "x", b""
    )
    await world.objects.create(claim_key("abc", CABINET.cabinet_id, "key", 0), b"{}")
    await world.objects.create("cabinets/not-a-number/records/x", b"none of ours")
    await world.objects.create("cabinets/7/records/not-a-document/1.json", b"none of ours")
    world.later(50 * DAY)


async def test_a_dry_run_counts_what_a_run_mends_and_changes_nothing(
    world: ReconcileWorld,
) -> None:
    await _ruin(world)
    before = await world.snapshot(), await world.objects.keys("idempotency/")
    dry = await world.reconcile(is_dry=True)
    assert world.log.sent == []
    assert (await world.snapshot(), await world.objects.keys("idempotency/")) == before
    assert dry.mended == {}
    real = await world.reconcile()
    assert +real.mended == +dry.not_done
    assert real.not_done == {}
    assert real.mended[Mend.ORPHAN_CHUNKS] == 1200


async def test_a_second_run_finds_nothing(world: ReconcileWorld) -> None:
    await _ruin(world)
    for _ in range(3):
        await world.reconcile()
        await world.process_emitted()
    assert +(await world.reconcile()).mended == {}
    await world.assert_whole()
    assert await world.texts() == ["three"]


async def test_two_runs_at_once_do_no_harm(world: ReconcileWorld) -> None:
    await _ruin(world)
    inner = await world.objects.keys("idempotency/")
    plain, happened = world.index.count, 0

    async def count(*args: Any) -> int:
        nonlocal happened
        happened += 1
        if happened == 1:
            await world.reconcile()
        return await plain(*args)

    world.index.count = count  # type: ignore[method-assign,assignment]  # a second run within the first
    await world.reconcile()
    assert inner
    await world.process_emitted()
    await world.reconcile()
    await world.process_emitted()
    assert await world.texts() == ["three"]
    await world.assert_whole()
