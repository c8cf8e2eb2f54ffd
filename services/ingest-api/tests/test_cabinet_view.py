"""Cabinets and runs in the view: one state, in whatever order and however often records come."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from reading_world import Record, World, reading_world
from run_records import cabinet_seen, configured, requested, run_ended, run_progressed

from ingest_api.adapters.cabinet_catalogue import SqliteCabinets
from ingest_api.adapters.log_records import BatchBuilder
from ingest_api.domain.cabinet import Cabinet
from ingest_api.domain.log_batch import Partition
from ingest_api.domain.task import Task
from ingest_api.read_ports import CabinetQuery
from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.ids import CabinetId, TaskId, new_task_id
from kartoteka_contracts.reindex import ReindexRequested
from kartoteka_contracts.tasks import TaskStatus
from kartoteka_contracts.wire import Event
from kartoteka_testkit.builders import EPOCH, cabinet_deletion, deletion_ended
from kartoteka_testkit.run_events import run_continued

RUNS, PROGRESS, STATUS, CABINETS = "cabinets.reindex", "task.progress", "task.status", "cabinets"
Told = tuple[str, Event]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with reading_world(tmp_path) as served:
        yield served


async def apply(world: World, *records: Record) -> None:
    """Apply records in one batch."""
    builder = BatchBuilder()
    for one in records:
        builder.add(one)
    assert not builder.unreadable
    await world.catalogue.apply(builder.batch({Partition("any", 0): len(records)}))


async def tell(world: World, told: Sequence[Told], chance: random.Random | None = None) -> None:
    """Apply what was told, in batches of any size."""
    left = [Record(topic, encode(event)) for topic, event in told]
    while left:
        count = 1 if chance is None else chance.randint(1, len(left))
        await apply(world, *left[:count])
        left = left[count:]


def orders(told: Sequence[Told], count: int = 60) -> list[tuple[list[Told], random.Random]]:
    """Shuffle records, some of them twice."""
    found = []
    for seed in range(count):
        chance = random.Random(seed)
        shuffled = [*told, *chance.choices(told, k=chance.randint(0, len(told)))]
        chance.shuffle(shuffled)
        found.append((shuffled, chance))
    return found


async def cabinet(world: World, cabinet_id: int = 7) -> Cabinet | None:
    return await SqliteCabinets(world.catalogue).cabinet(CabinetId(cabinet_id))


async def task(world: World, task_id: TaskId) -> Task | None:
    return await world.catalogue.task(task_id)


async def ids(world: World) -> list[int]:
    query = CabinetQuery(cabinets=None, limit=100)
    return [one.cabinet_id for one in await SqliteCabinets(world.catalogue).cabinets(query)]


async def test_the_settings_of_the_highest_version_count_in_any_order(world: World) -> None:
    newest = configured(3000, name="new", enabled=False, second=5)
    told: list[Told] = [
        (CABINETS, configured(1000, name="old")),
        (CABINETS, configured(2000, name="later", schedule={"cron": "5 4 * * *"})),
        (CABINETS, newest),
        (CABINETS, cabinet_seen(second=-30)),
        (CABINETS, cabinet_seen(second=40)),
        (CABINETS, configured(9000, cabinet=8, name="foreign")),
    ]
    for shuffled, chance in orders(told):
        await world.catalogue.wipe("log-1")
        await tell(world, shuffled, chance)
        found = await cabinet(world)
        assert found == Cabinet(
            cabinet_id=CabinetId(7), seen_at=EPOCH - timedelta(seconds=30), configured=newest
        )
        assert await ids(world) == [7, 8]


async def test_every_setting_comes_through(world: World) -> None:
    source = {
        "name": "archive",
        "url": "s3://bucket/prefix",
        "include": ["a/**"],
        "exclude": ["*.tmp"],
        "credentials": "reader",
    }
    schedule = {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}
    event = configured(name="n", enabled=False, schedule=schedule, sources=[source], second=9)
    await tell(world, [(CABINETS, event)])
    found = await cabinet(world)
    assert found is not None
    assert found.configured == event


async def test_what_is_taken_back_is_gone_and_the_other_half_stays(world: World) -> None:
    seen, settings = cabinet_seen(), configured()
    both: list[Told] = [(CABINETS, seen), (CABINETS, settings)]
    await tell(world, both)
    await apply(world, Record(CABINETS, None, key=settings.key.encode()))
    found = await cabinet(world)
    assert found == Cabinet(cabinet_id=CabinetId(7), seen_at=EPOCH)
    await apply(world, Record(CABINETS, None, key=seen.key.encode()))
    assert await cabinet(world) is None
    await tell(world, both)
    await apply(world, Record(CABINETS, None, key=seen.key.encode()))
    assert await cabinet(world) == Cabinet(cabinet_id=CabinetId(7), configured=settings)


@pytest.mark.parametrize("key", [b"x", b"0", b"7#gone", None, b"9" * 17])
async def test_a_record_that_takes_nothing_back_is_left_out(key: bytes | None) -> None:
    builder = BatchBuilder()
    builder.add(Record(CABINETS, None, key=key))
    builder.add(Record(CABINETS, encode(requested())))
    assert len(builder.unreadable) == 2
    assert builder.cabinets == []


async def test_a_run_is_one_state_in_any_order(world: World) -> None:
    run = requested()
    end = run_ended(run)
    told: list[Told] = [
        (RUNS, run),
        (RUNS, run_continued(task_id=run.task_id)),
        *((PROGRESS, run_progressed(run, done, second=done)) for done in range(4)),
        (STATUS, run_ended(run, TaskStatus.RETRYING, second=2, attempt=1, result=None)),
        (STATUS, end),
    ]
    for shuffled, chance in orders(told):
        await world.catalogue.wipe("log-1")
        await tell(world, shuffled, chance)
        found = await task(world, run.task_id)
        assert found is not None
        assert (found.status, found.result, found.progress) == (end.status, end.result, 1.0)
        assert found.run is None


async def test_an_open_run_is_as_far_as_the_furthest_word_of_it_in_any_order(world: World) -> None:
    run = requested()
    furthest = run_progressed(run, 3, second=3)
    told: list[Told] = [
        (RUNS, run),
        (RUNS, run_continued(task_id=run.task_id)),
        *((PROGRESS, run_progressed(run, done, second=done)) for done in range(3)),
        (PROGRESS, furthest),
        (STATUS, run_ended(run, TaskStatus.RETRYING, second=90, attempt=2, result=None)),
    ]
    for shuffled, chance in orders(told):
        await world.catalogue.wipe("log-1")
        await tell(world, shuffled, chance)
        found = await task(world, run.task_id)
        assert found is not None
        assert (found.status, found.progress) == (TaskStatus.RUNNING, 0.75)
        assert (found.run, found.accepted_at) == (furthest.result, run.accepted_at)


async def test_a_run_never_goes_back(world: World) -> None:
    run = requested()
    told: list[Told] = [
        (RUNS, run),
        *((PROGRESS, run_progressed(run, done, second=done)) for done in range(4)),
        (STATUS, run_ended(run)),
    ]
    for shuffled, _ in orders(told, 20):
        await world.catalogue.wipe("log-1")
        last: Task | None = None
        for one in shuffled:
            await tell(world, [one])
            now = await task(world, run.task_id)
            assert now is not None
            assert last is None or now.order >= last.order
            last = now


async def test_of_two_words_that_are_equally_far_the_later_counts(world: World) -> None:
    run = requested()
    early = run_progressed(run, 0, second=1, eta_seconds=None)
    late = run_progressed(run, 0, second=2)
    for told in ((early, late), (late, early)):
        await world.catalogue.wipe("log-1")
        await tell(world, [(RUNS, run), *((PROGRESS, one) for one in told)])
        found = await task(world, run.task_id)
        assert found is not None
        assert found.run == late.result


async def test_a_run_that_is_tried_again_before_it_is_planned_is_retrying(world: World) -> None:
    run = requested()
    await tell(world, [(RUNS, run), (STATUS, run_ended(run, TaskStatus.RETRYING, result=None))])
    found = await task(world, run.task_id)
    assert found is not None
    assert found.status is TaskStatus.RETRYING
    again = Record(RUNS, encode(run), headers=tuple(Envelope(attempt=1).to_headers()))
    await apply(world, again)
    found = await task(world, run.task_id)
    assert found is not None
    assert (found.status, found.attempt) == (TaskStatus.QUEUED, 1)


async def test_a_planner_s_word_to_itself_says_nothing_of_a_run(world: World) -> None:
    step = run_continued()
    await tell(world, [(RUNS, step)])
    assert await task(world, step.task_id) is None


async def runs(world: World, *cabinets: int) -> tuple[set[TaskId], set[TaskId]]:
    """The open runs and the last runs of cabinets."""
    reader, wanted = SqliteCabinets(world.catalogue), list(map(CabinetId, cabinets))
    return (
        {run.task_id for run in await reader.open_runs(wanted)},
        {run.task_id for run in await reader.last_runs(wanted)},
    )


async def test_open_and_last_runs_are_those_of_each_cabinet(world: World) -> None:
    first, second, joining, open_one = (requested(second=n) for n in range(4))
    foreign, foreign_open = requested(8), requested(8, second=5)
    everything = (first, second, joining, open_one, foreign, foreign_open)
    await tell(world, [(CABINETS, cabinet_seen(n)) for n in (7, 8, 9)])
    await tell(world, [(RUNS, run) for run in everything])
    await tell(
        world,
        [
            (STATUS, run_ended(second, TaskStatus.FAILED, second=70)),
            (STATUS, run_ended(first, second=60)),
            (STATUS, run_ended(joining, TaskStatus.SUPERSEDED, second=80, joined=new_task_id())),
            (STATUS, run_ended(foreign, TaskStatus.UNCHANGED, second=10)),
        ],
    )
    assert await runs(world, 7) == ({open_one.task_id}, {second.task_id})
    assert await runs(world, 8, 9) == ({foreign_open.task_id}, {foreign.task_id})
    assert await runs(world, 7, 8) == (
        {open_one.task_id, foreign_open.task_id},
        {second.task_id, foreign.task_id},
    )


def _asked(version: int, **fields: int) -> ReindexRequested:
    run = requested(**fields)
    accepted_at = EPOCH + timedelta(microseconds=version)
    return run.model_copy(update={"accepted_at": accepted_at})


async def test_a_cabinet_s_delete_takes_what_older_runs_tell_of_its_documents(world: World) -> None:
    floor = int(EPOCH.timestamp() * 1_000_000) + 1000
    ended, open_one, later = _asked(10), _asked(20), _asked(2000)
    foreign = _asked(10, cabinet=8)
    gone = cabinet_deletion(version=floor)
    told: list[Told] = [
        *((RUNS, run) for run in (ended, open_one, later, foreign)),
        (PROGRESS, run_progressed(open_one)),
        (PROGRESS, run_progressed(later)),
        (STATUS, run_ended(ended)),
        ("documents.interactive", gone),
        (STATUS, deletion_ended(gone)),
    ]
    for shuffled, chance in orders(told, 40):
        await world.catalogue.wipe("log-1")
        await tell(world, shuffled, chance)
        known = [
            await task(world, run.task_id) is not None for run in (ended, open_one, later, foreign)
        ]
        assert known == [False, False, True, True]
