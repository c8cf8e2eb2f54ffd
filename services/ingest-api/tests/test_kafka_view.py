"""The view on a real broker: what one replica acknowledged, every replica knows."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from view_replica import Log, Replica, jobs, log_of, make_topics, replica, until

from ingest_api.adapters.catalogue_schema import FILE_NAME
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from kartoteka_contracts.cabinets import CabinetSeen
from kartoteka_contracts.dead_letter import DeadLetter
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import CabinetId, TaskId
from kartoteka_contracts.tasks import Stage, TaskStatus
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_testkit.builders import progressed, status_changed, submitted
from kartoteka_testkit.kafka_broker import KafkaBroker, running_broker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
async def broker(shared_broker: KafkaBroker) -> KafkaBroker:
    """A broker whose topics are new."""
    await make_topics(shared_broker.settings())
    return shared_broker


async def test_what_one_replica_acknowledged_is_never_unknown_on_another(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    async with (
        log_of(broker) as log,
        replica(broker, tmp_path / "a", log) as first,
        replica(broker, tmp_path / "b", log) as second,
    ):
        events = jobs(150)
        for n, event in enumerate(events):
            await log.write("documents.interactive", event)
            assert await (first if n % 2 else second).found(event.task_id)
        unknown = submitted().task_id
        began = time.monotonic()
        assert not await first.found(unknown)
        assert time.monotonic() - began < 1.5


async def test_sixty_four_callers_at_once_read_what_they_wrote(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    async with log_of(broker) as log, replica(broker, tmp_path, log) as one:

        async def write_and_read(event: DocumentSubmitted) -> bool:
            await log.write("documents.interactive", event)
            return await one.found(event.task_id)

        assert all(await asyncio.gather(*map(write_and_read, jobs(64))))


async def test_all_topics_end_up_as_one_state(broker: KafkaBroker, tmp_path: Path) -> None:
    letter = DeadLetter(
        reason="malformed",
        message="no",
        stage="parsing",
        attempts=1,
        first_failed_at_ms=1,
        origin_topic="documents.bulk",
        origin_partition=0,
        origin_offset=0,
    )
    seen = CabinetSeen(cabinet_id=CabinetId(7), at=SystemClock().now())
    async with log_of(broker) as log, replica(broker, tmp_path, log) as one:
        done, failed, open_one = jobs(3)
        await log.write("cabinets", seen)
        await log.write("task.status", status_changed(done, TaskStatus.SUCCEEDED, result={}))
        await log.write("task.progress", progressed(done, Stage.PARSING))
        await log.write("documents.bulk", done, failed)
        await log.write("documents.interactive", open_one)
        await log.write("task.progress", progressed(open_one, Stage.EMBEDDING))
        await log.send("documents.dlq", key=failed.key, value=b"raw", headers=letter.to_headers())
        await log.send("task.status", key="x", value=b"not json")
        await until(lambda: one.figure("view_lag_records") == 0)
        await one.view.catch_up()
        await until(lambda: one.figure("view_applied_records_total", topic="cabinets") == 1)
        assert await one.status(done.task_id) is TaskStatus.SUCCEEDED
        assert await one.status(failed.task_id) is TaskStatus.QUEUED
        await until(lambda: _is(one, open_one.task_id, TaskStatus.RUNNING))
        assert await one.cabinets() == [7]
        await until(lambda: one.figure("view_unreadable_records_total") == 1)


async def _is(one: Replica, task_id: TaskId, status: TaskStatus) -> bool:
    return await one.status(task_id) is status


async def test_a_lost_or_damaged_file_is_built_anew_before_the_replica_is_ready(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    events = jobs(300)
    ends = [status_changed(event, TaskStatus.EMPTY, result={}) for event in events[:100]]
    async with log_of(broker) as log:
        await log.write("documents.bulk", *events)
        await log.write("task.status", *ends)
        for fault in (None, b"\x00damaged" * 4096):
            if fault is not None:
                (tmp_path / FILE_NAME).write_bytes(fault)
            async with replica(broker, tmp_path, log) as one:
                assert one.figure("view_rebuilds_total", reason="new") == 1
                statuses = [await one.status(event.task_id) for event in events]
                assert statuses == [TaskStatus.EMPTY] * 100 + [TaskStatus.QUEUED] * 200


async def test_a_restarted_replica_reads_on_from_where_it_was(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    async with log_of(broker) as log:
        before, while_away = jobs(20), jobs(5, prefix="away")
        await log.write("documents.interactive", *before)
        async with replica(broker, tmp_path, log):
            pass
        await log.write("documents.interactive", *while_away)
        async with replica(broker, tmp_path, log) as one:
            taken = one.figure("view_applied_records_total", topic="documents.interactive")
            assert taken == len(while_away)
            for event in (*before, *while_away):
                assert await one.status(event.task_id) is TaskStatus.QUEUED


async def test_a_new_replica_begins_with_a_snapshot_and_reads_on_from_it(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    store = ObjectStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/objects"))
    async with log_of(broker) as log:
        before, after = jobs(20), jobs(5, prefix="after")
        await log.write("documents.interactive", *before)
        async with replica(broker, tmp_path / "a", log, store=store) as one:
            assert one.snapshots is not None
            assert await one.snapshots.save_if_due()
        await log.write("documents.interactive", *after)
        async with replica(broker, tmp_path / "b", log, store=store) as one:
            assert one.figure("view_rebuilds_total", reason="new") == 0
            taken = one.figure("view_applied_records_total", topic="documents.interactive")
            assert taken == len(after)
            assert await one.status(before[0].task_id) is TaskStatus.QUEUED
    await make_topics(broker.settings())
    async with log_of(broker) as log, replica(broker, tmp_path / "c", log, store=store) as one:
        assert one.figure("view_rebuilds_total", reason="other_log") == 1
        assert await one.status(before[0].task_id) is None


async def test_damage_met_in_use_is_mended_without_a_restart(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    async with log_of(broker) as log, replica(broker, tmp_path, log) as one:
        events = jobs(50)
        await log.write("documents.interactive", *events)
        await one.view.catch_up()
        one.catalogue._damaged = True
        await until(lambda: one.figure("view_rebuilds_total", reason="damaged") == 1)
        await until(lambda: one.health.ready()[0])
        assert await one.status(events[-1].task_id) is TaskStatus.QUEUED


async def test_topics_made_again_are_another_log(broker: KafkaBroker, tmp_path: Path) -> None:
    async with log_of(broker) as log:
        old, new = jobs(5, prefix="old"), jobs(9, prefix="new")
        await log.write("documents.interactive", *old)
        async with replica(broker, tmp_path, log):
            pass
    await make_topics(broker.settings())
    async with log_of(broker) as log:
        await log.write("documents.interactive", *new)
        async with replica(broker, tmp_path, log) as one:
            assert one.figure("view_rebuilds_total", reason="other_log") == 1
            assert await one.status(old[0].task_id) is None
            assert await one.status(new[0].task_id) is TaskStatus.QUEUED


async def test_offsets_outside_of_the_log_mean_a_rebuild(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    async with log_of(broker) as log:
        events = jobs(12)
        await log.write("documents.interactive", *events)
        async with replica(broker, tmp_path, log) as one:
            await one.catalogue._call(
                lambda: one.catalogue._connection.execute("UPDATE positions SET next = 999999")
            )
        async with replica(broker, tmp_path, log) as one:
            assert one.figure("view_rebuilds_total", reason="offsets") == 1
            assert await one.status(events[0].task_id) is TaskStatus.QUEUED


async def test_a_lower_record_after_a_higher_one_is_answered_by_the_higher_one(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    """Compaction would keep the lower one, and a view built from it would go back."""
    async with log_of(broker) as log:
        (event,) = jobs(1)
        async with (
            replica(broker, tmp_path / "a", log) as one,
            replica(broker, tmp_path / "b", log) as other,
        ):
            await log.write("documents.interactive", event)
            await log.write("task.status", status_changed(event, TaskStatus.SUCCEEDED, result={}))
            await log.write("task.status", status_changed(event, TaskStatus.RETRYING))
            await until(lambda: _repairs(one, other) >= 1)
            await one.view.catch_up()
            assert await one.status(event.task_id) is TaskStatus.SUCCEEDED
            await until(lambda: _repaired(one, other))
            settled = _repairs(one, other)
        # What compaction leaves is each key's last record: only that is in a new log.
        assert settled <= 2
        async with replica(broker, tmp_path / "c", log) as late:
            await late.view.catch_up()
            assert await late.catalogue.to_repair(10) == []
            assert late.figure("view_repairs_total") == 0


def _repairs(*replicas: Replica) -> float:
    return sum(one.figure("view_repairs_total") for one in replicas)


async def _repaired(*replicas: Replica) -> bool:
    for one in replicas:
        await one.view.catch_up()
        if await one.catalogue.to_repair(10):
            return False
    return True


async def test_listeners_hear_of_every_change_of_their_task(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    async with log_of(broker) as log, replica(broker, tmp_path, log) as one:
        event, other = jobs(2)
        with one.changes.subscribe(event.task_id) as listener:
            await log.write("documents.interactive", event)
            assert await listener.changed(within=10)
            await log.write("documents.interactive", other)
            await one.view.catch_up()
            assert not await listener.changed(within=0.05)


async def test_a_broker_away_is_answered_in_time_and_lived_through(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "kafka")
    await broker.start()
    try:
        await make_topics(broker.settings())
        before, after = jobs(10), jobs(10, prefix="after")
        async with log_of(broker) as log, replica(broker, tmp_path / "view", log) as one:
            await log.write("documents.interactive", *before)
            await one.view.catch_up()
            await broker.stop()
            assert await one.found(before[0].task_id)
            began = time.monotonic()
            with pytest.raises(UnavailableError) as refused:
                await one.found(after[0].task_id)
            assert refused.value.code == "view_behind"
            assert time.monotonic() - began < 2
            assert one.health.ready()[0]
            await broker.start()
            await log.write("documents.interactive", *after)
            await until(lambda: _found(one, after[-1].task_id))
    finally:
        await broker.stop()


async def _found(one: Replica, task_id: TaskId) -> bool:
    try:
        return await one.found(task_id)
    except UnavailableError:
        return False


async def test_a_replica_without_a_broker_waits_unready_and_says_why(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "kafka")
    one = Replica(broker.settings(), tmp_path / "view", Log(None))
    running = asyncio.create_task(one.view.run())
    try:
        await until(lambda: "cannot be built" in one.health.holds.get("view", ""))
        with pytest.raises(UnavailableError):
            await one.found(submitted().task_id)
        await broker.start()
        await until(lambda: "no such topics" in one.health.holds.get("view", ""))
        await make_topics(broker.settings())
        await until(lambda: one.health.ready()[0])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await one.catalogue.close()
        await broker.stop()


class CancellingCatalogue(SqliteCatalogue):
    """Its first use ends as a use of the Kafka client can: cancelled, and by nobody."""

    opened = 0

    async def open(self) -> None:
        self.opened += 1
        if self.opened == 1:
            raise asyncio.CancelledError
        await super().open()


async def test_a_cancellation_from_within_does_not_end_the_view(tmp_path: Path) -> None:
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    catalogue = CancellingCatalogue(tmp_path / "view", SystemClock())
    one = Replica(nowhere, tmp_path / "view", Log(None), catalogue=catalogue)
    running = asyncio.create_task(one.view.run())
    try:
        await until(lambda: "cannot be built" in one.health.holds.get("view", ""))
        assert catalogue.opened > 1
        assert "Kafka does not answer" in one.health.holds["view"]
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=10)
        await one.catalogue.close()
    assert running.cancelled()
