from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ingest_api.adapters.sqlite_catalogue import CatalogueUnwritableError, SqliteCatalogue
from ingest_api.adapters.view_snapshots import ViewSnapshots
from ingest_api.domain.log_batch import LogBatch, Partition, TaskSeen
from ingest_api.domain.task import Task
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.tasks import TaskKind, TaskStatus
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_testkit.builders import EPOCH, submitted
from kartoteka_testkit.frozen_clock import FrozenClock

_JOBS = Partition("documents.bulk", 0)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/objects"))


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(EPOCH)


@asynccontextmanager
async def catalogue_in(folder: Path, clock: FrozenClock) -> AsyncIterator[SqliteCatalogue]:
    catalogue = SqliteCatalogue(folder, clock)
    await catalogue.open()
    yield catalogue
    await catalogue.close()


async def take_in(catalogue: SqliteCatalogue, event: DocumentSubmitted, offset: int) -> None:
    task = Task(
        task_id=event.task_id,
        cabinet_id=event.cabinet_id,
        status=TaskStatus.QUEUED,
        updated_at=EPOCH,
        kind=TaskKind.INDEX,
    )
    seen = TaskSeen(task=task, is_compacted=False, logged_at=EPOCH)
    await catalogue.apply(LogBatch(positions={_JOBS: offset}, tasks=(seen,)))


async def test_a_new_replica_begins_with_the_newest_snapshot_and_its_offsets(
    tmp_path: Path, store: ObjectStore, clock: FrozenClock
) -> None:
    early, late = submitted(), submitted()
    async with catalogue_in(tmp_path / "a", clock) as old:
        await old.wipe("log-1")
        snapshots = ViewSnapshots(store, old, tmp_path / "a", clock)
        await take_in(old, early, 7)
        assert await snapshots.save_if_due()
        await take_in(old, late, 8)
    async with catalogue_in(tmp_path / "b", clock) as new:
        assert await ViewSnapshots(store, new, tmp_path / "b", clock).restore()
        assert await new.identity() == "log-1"
        assert await new.positions() == {_JOBS: 7}
        assert await new.task(early.task_id) is not None
        assert await new.task(late.task_id) is None
        await take_in(new, late, 8)


async def test_one_snapshot_an_hour_by_one_replica_and_old_ones_leave(
    tmp_path: Path, store: ObjectStore, clock: FrozenClock
) -> None:
    async with (
        catalogue_in(tmp_path / "a", clock) as one,
        catalogue_in(tmp_path / "b", clock) as two,
    ):
        await one.wipe("log-1")
        await two.wipe("log-1")
        replicas = [
            ViewSnapshots(store, one, tmp_path / "a", clock),
            ViewSnapshots(store, two, tmp_path / "b", clock),
        ]
        for _ in range(4):
            made = [await replica.save_if_due() for replica in (*replicas, *replicas)]
            assert made.count(True) == 1
            clock.advance(3600)
    keys = await store.keys("views/")
    assert len([key for key in keys if key.endswith(".sqlite")]) == 2
    assert len([key for key in keys if key.endswith(".claim")]) == 1


async def test_a_snapshot_that_could_not_be_moved_leaves_the_catalogue_usable(
    tmp_path: Path, clock: FrozenClock
) -> None:
    async with catalogue_in(tmp_path, clock) as catalogue:
        with pytest.raises(CatalogueUnwritableError):
            await catalogue.adopt(tmp_path / "gone")
        assert not catalogue.is_open
        await catalogue.open()
        await catalogue.wipe("log-1")
        await take_in(catalogue, submitted(), 1)


async def test_a_damaged_snapshot_is_as_good_as_none(
    tmp_path: Path, store: ObjectStore, clock: FrozenClock
) -> None:
    async with catalogue_in(tmp_path, clock) as catalogue:
        snapshots = ViewSnapshots(store, catalogue, tmp_path, clock)
        assert not await snapshots.restore()
        await store.create("views/tasks-v1/20260102T03.sqlite", b"damaged" * 1000)
        await snapshots.restore()
        assert await catalogue.identity() is None
        await catalogue.wipe("log-1")
        await take_in(catalogue, submitted(), 1)
