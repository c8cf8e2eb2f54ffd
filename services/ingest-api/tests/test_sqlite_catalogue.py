import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ingest_api.adapters.catalogue_schema import FILE_NAME
from ingest_api.adapters.log_records import BatchBuilder
from ingest_api.adapters.sqlite_catalogue import (
    CatalogueBusyError,
    CatalogueDamagedError,
    SqliteCatalogue,
)
from ingest_api.domain.dead_letter import LetterContent
from ingest_api.domain.log_batch import (
    DeadLetterSeen,
    LogBatch,
    Partition,
    TaskSeen,
)
from ingest_api.domain.task import Queue, Task
from ingest_api.read_ports import TaskPlace, TaskQuery
from kartoteka_contracts.access import grant
from kartoteka_contracts.codec import encode
from kartoteka_contracts.dead_letter import DeadLetter
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.tasks import Stage, TaskStatus
from kartoteka_contracts.wire import Event
from kartoteka_testkit.builders import EPOCH, progressed, status_changed, submitted
from kartoteka_testkit.frozen_clock import FrozenClock

_JOBS = Partition("documents.interactive", 0)
_STATUS = Partition("task.status", 0)


class Record:
    """A consumed record."""

    def __init__(
        self, topic: str, event: Event | None, *, key: str = "", age_days: int = 0
    ) -> None:
        self.topic = topic
        self.partition = 0
        self.offset = 0
        self.timestamp = int((EPOCH - timedelta(days=age_days)).timestamp() * 1000)
        self.key: bytes | None = key.encode()
        self.value: bytes | None = None if event is None else encode(event)
        self.headers: tuple[tuple[str, bytes], ...] = ()


def seen(event: Event, topic: str = "documents.interactive", *, age_days: int = 0) -> TaskSeen:
    builder = BatchBuilder()
    builder.add(Record(topic, event, age_days=age_days))
    return builder.tasks[0]


def batch(*records: TaskSeen, offset: int = 1, partition: Partition = _JOBS) -> LogBatch:
    return LogBatch(positions={partition: offset}, tasks=records)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(EPOCH)


@pytest.fixture
async def catalogue(tmp_path: Path, clock: FrozenClock) -> AsyncIterator[SqliteCatalogue]:
    opened = SqliteCatalogue(tmp_path / "view", clock)
    await opened.open()
    await opened.wipe("log-1")
    yield opened
    await opened.close()


async def known(catalogue: SqliteCatalogue, event: DocumentSubmitted) -> Task:
    task = await catalogue.task(event.task_id)
    assert task is not None
    return task


async def test_a_task_is_found_with_all_that_was_said_of_it(catalogue: SqliteCatalogue) -> None:
    event = submitted(external_id="ärger.pdf", version=2**53 - 1)
    end = status_changed(event, TaskStatus.SUCCEEDED, result={"chunks": 3, "pages": 2})
    await catalogue.apply(batch(seen(event), seen(end, "task.status")))
    task = await known(catalogue, event)
    assert task == replace(seen(end, "task.status").task, queue=Queue.INTERACTIVE)
    assert (task.external_id, task.version) == ("ärger.pdf", 2**53 - 1)
    assert task.result is not None
    assert task.result.chunks == 3


async def test_an_attempt_that_no_row_can_hold_is_left_out(catalogue: SqliteCatalogue) -> None:
    builder = BatchBuilder()
    event = status_changed(submitted(), TaskStatus.SUCCEEDED, attempt=2**63)
    builder.add(Record("task.status", event))
    assert len(builder.unreadable) == 1
    await catalogue.apply(builder.batch({_STATUS: 1}))
    assert await catalogue.positions() == {_STATUS: 1}


async def test_what_was_applied_outlives_the_process(tmp_path: Path, clock: FrozenClock) -> None:
    event = submitted()
    first = SqliteCatalogue(tmp_path, clock)
    await first.open()
    await first.wipe("log-1")
    await first.apply(batch(seen(event), offset=42))
    await first.close()
    second = SqliteCatalogue(tmp_path, clock)
    await second.open()
    assert await second.identity() == "log-1"
    assert await second.positions() == {_JOBS: 42}
    assert await second.task(event.task_id) is not None
    await second.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a database at all, but long enough to be looked at" * 100],
    ids=["empty", "garbage"],
)
async def test_a_file_that_is_none_of_ours_is_replaced(
    tmp_path: Path, clock: FrozenClock, content: bytes
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    catalogue = SqliteCatalogue(tmp_path, clock)
    await catalogue.open()
    assert await catalogue.identity() is None
    assert await catalogue.positions() == {}
    await catalogue.close()


async def test_another_applications_database_is_replaced(
    tmp_path: Path, clock: FrozenClock
) -> None:
    other = sqlite3.connect(tmp_path / FILE_NAME)
    other.execute("CREATE TABLE positions (topic TEXT)")
    other.commit()
    other.close()
    catalogue = SqliteCatalogue(tmp_path, clock)
    await catalogue.open()
    await catalogue.wipe("log-1")
    await catalogue.apply(batch(seen(submitted())))
    await catalogue.close()


async def test_files_of_other_schema_versions_leave(tmp_path: Path, clock: FrozenClock) -> None:
    (tmp_path / "tasks-v0.sqlite").write_bytes(b"old")
    (tmp_path / "tasks-v0.sqlite-wal").write_bytes(b"old")
    catalogue = SqliteCatalogue(tmp_path, clock)
    await catalogue.open()
    await catalogue.close()
    left = await asyncio.to_thread(lambda: list(tmp_path.glob("tasks-v0*")))
    assert not left


async def test_a_damaged_page_is_noticed_at_start_and_the_file_replaced(
    tmp_path: Path, clock: FrozenClock
) -> None:
    catalogue = SqliteCatalogue(tmp_path, clock)
    await catalogue.open()
    await catalogue.wipe("log-1")
    await catalogue.apply(batch(*(seen(submitted(external_id=f"{n}")) for n in range(200))))
    await catalogue.close()
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[4096 * 4 : 4096 * 12] = b"\xff" * 4096 * 8
    path.write_bytes(content)
    again = SqliteCatalogue(tmp_path, clock)
    await again.open()
    assert await again.identity() is None
    await again.close()


async def test_damage_met_in_use_is_told_and_mended(tmp_path: Path, clock: FrozenClock) -> None:
    catalogue = SqliteCatalogue(tmp_path, clock)
    await catalogue.open()
    await catalogue.wipe("log-1")
    await catalogue.apply(batch(*(seen(submitted(external_id=f"{n}")) for n in range(2000))))
    with pytest.raises(CatalogueDamagedError):
        await catalogue._call(_raise_damage)
    noticed = catalogue.is_damaged
    await catalogue.rebuild_file()
    assert (noticed, catalogue.is_damaged) == (True, False)
    assert await catalogue.identity() is None
    await catalogue.close()


def _raise_damage() -> None:
    raise sqlite3.DatabaseError("database disk image is malformed")


async def test_two_processes_never_share_a_folder(tmp_path: Path, clock: FrozenClock) -> None:
    first, second = SqliteCatalogue(tmp_path, clock), SqliteCatalogue(tmp_path, clock)
    await first.open()
    with pytest.raises(CatalogueBusyError, match="VIEW_PATH"):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_rows_and_offsets_are_written_together_or_not_at_all(
    catalogue: SqliteCatalogue,
) -> None:
    event = submitted()
    await catalogue.apply(batch(seen(event), offset=1))
    late = submitted(external_id="late")
    broken = LogBatch(
        positions={_JOBS: 2},
        tasks=(seen(late),),
        cabinets=(None,),  # type: ignore[arg-type]
    )
    with pytest.raises(AttributeError):
        await catalogue.apply(broken)
    assert await catalogue.positions() == {_JOBS: 1}
    assert await catalogue.task(late.task_id) is None
    await catalogue.apply(batch(seen(late), offset=2))
    assert await catalogue.task(late.task_id) is not None


async def test_ended_tasks_leave_after_a_week_and_open_ones_stay(
    catalogue: SqliteCatalogue, clock: FrozenClock
) -> None:
    ended, still_open = submitted(), submitted(external_id="open")
    end = status_changed(ended, TaskStatus.FAILED)
    await catalogue.apply(batch(seen(ended), seen(still_open), seen(end, "task.status")))
    clock.advance(7 * 86400 - 1)
    assert await catalogue.purge() == 0
    clock.advance(2)
    assert await catalogue.purge() == 1
    assert await catalogue.task(ended.task_id) is None
    assert await catalogue.task(still_open.task_id) is not None


async def test_a_record_older_than_the_log_keeps_begins_no_task(
    catalogue: SqliteCatalogue,
) -> None:
    event = submitted()
    applied = await catalogue.apply(batch(seen(event, age_days=8)))
    assert applied.dropped == 1
    assert await catalogue.task(event.task_id) is None


async def test_only_changed_tasks_are_told_of(catalogue: SqliteCatalogue) -> None:
    event = submitted()
    first = await catalogue.apply(batch(seen(event)))
    again = await catalogue.apply(batch(seen(event), offset=2))
    assert first.changed == {event.task_id}
    assert (again.changed, again.dropped) == (frozenset(), 1)


async def test_a_lower_record_that_came_last_is_to_be_repaired_until_it_was(
    catalogue: SqliteCatalogue,
) -> None:
    event = submitted()
    end = status_changed(event, TaskStatus.SUCCEEDED)
    retry = status_changed(event, TaskStatus.RETRYING)
    await catalogue.apply(batch(seen(event), seen(end, "task.status")))
    assert await catalogue.to_repair(10) == []
    await catalogue.apply(batch(seen(retry, "task.status"), offset=2, partition=_STATUS))
    assert [task.status for task in await catalogue.to_repair(10)] == [TaskStatus.SUCCEEDED]
    await catalogue.repaired(event.task_id)
    assert await catalogue.to_repair(10) == []


async def test_a_repair_that_a_lower_record_overtook_stays_owed(
    catalogue: SqliteCatalogue,
) -> None:
    event = submitted()
    end = seen(status_changed(event, TaskStatus.SUCCEEDED), "task.status")
    retry = seen(status_changed(event, TaskStatus.RETRYING), "task.status")
    await catalogue.apply(batch(end, retry))
    assert await catalogue.to_repair(10) != []
    # The repair is in the log, and read back, before its writer hears so; then comes the other.
    await catalogue.apply(batch(end, retry, offset=4))
    await catalogue.repaired(event.task_id)
    assert [task.status for task in await catalogue.to_repair(10)] == [TaskStatus.SUCCEEDED]
    await catalogue.repaired(event.task_id)
    assert await catalogue.to_repair(10) == []


async def test_a_repair_that_another_replica_made_is_not_made_again(
    catalogue: SqliteCatalogue,
) -> None:
    event = submitted()
    end = seen(status_changed(event, TaskStatus.SUCCEEDED), "task.status")
    retry = seen(status_changed(event, TaskStatus.RETRYING), "task.status")
    await catalogue.apply(batch(end, retry))
    await catalogue.apply(batch(end, offset=2))
    assert await catalogue.to_repair(10) == []


async def test_progress_alone_neither_owes_a_repair_nor_shows_in_lists(
    catalogue: SqliteCatalogue,
) -> None:
    event = submitted()
    progress = seen(progressed(event, Stage.PARSING), "task.progress")
    await catalogue.apply(batch(progress))
    everything = TaskQuery(cabinets=None, limit=10)
    assert await catalogue.tasks(everything) == []
    await catalogue.apply(batch(seen(event), offset=2))
    assert [task.stage for task in await catalogue.tasks(everything)] == [Stage.PARSING]


async def test_lists_are_paged_without_gaps_or_repeats(catalogue: SqliteCatalogue) -> None:
    events = [
        submitted(external_id=str(n), cabinet=7 + n % 2, accepted_at=EPOCH + timedelta(n // 3))
        for n in range(20)
    ]
    await catalogue.apply(batch(*(seen(event) for event in events)))
    found: list[Task] = []
    place: TaskPlace | None = None
    while page := await catalogue.tasks(
        TaskQuery(cabinets=frozenset({CabinetId(7)}), limit=3, after=place)
    ):
        found.extend(page)
        assert page[-1].accepted_at is not None
        place = TaskPlace(accepted_at=page[-1].accepted_at, task_id=page[-1].task_id)
    mine = {event.task_id for event in events if event.cabinet_id == 7}
    assert [task.task_id for task in found] == list(dict.fromkeys(task.task_id for task in found))
    assert {task.task_id for task in found} == mine
    ages = [task.accepted_at for task in found if task.accepted_at is not None]
    assert ages == sorted(ages, reverse=True)


async def test_documents_with_open_tasks_come_in_order_and_ended_ones_do_not(
    catalogue: SqliteCatalogue,
) -> None:
    events = [submitted(external_id=str(n)) for n in range(6)]
    end = status_changed(events[0], TaskStatus.SUCCEEDED)
    await catalogue.apply(batch(*map(seen, events), seen(end, "task.status")))
    ids = sorted(event.document_id for event in events[1:])
    assert await catalogue.open_documents(grant(CabinetId(7)), start=ids[1], limit=3) == ids[1:4]
    assert await catalogue.open_documents(grant(CabinetId(8)), start=None, limit=3) == []


async def test_dead_letters_leave_with_their_topic(
    catalogue: SqliteCatalogue, clock: FrozenClock
) -> None:
    letter = DeadLetter(
        reason="malformed",
        message="no",
        stage="decoding",
        attempts=1,
        first_failed_at_ms=1,
        origin_topic="documents.bulk",
        origin_partition=1,
        origin_offset=2,
    )
    dead = DeadLetterSeen(
        partition=Partition("documents.dlq", 0),
        offset=3,
        key="7/x",
        letter=letter,
        logged_at=EPOCH,
        content=LetterContent(),
    )
    await catalogue.apply(LogBatch(positions={}, dead_letters=(dead, dead)))
    clock.advance(31 * 86400)
    assert await catalogue.purge() == 1


async def test_a_caller_that_gives_up_does_not_stop_the_write(catalogue: SqliteCatalogue) -> None:
    event = submitted()
    writing = asyncio.create_task(catalogue.apply(batch(seen(event))))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await catalogue.task(event.task_id) is not None
