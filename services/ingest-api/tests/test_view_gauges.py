"""What the view's gauges say of the real file, also while it is not built or not there."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from letter_world import DLQ, dead_letter
from reading_world import Record

from ingest_api.adapters.catalogue_figures import SqliteFigures
from ingest_api.adapters.log_records import BatchBuilder
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.adapters.view_gauges import ViewGauges
from ingest_api.domain.figures import Backlog
from ingest_api.domain.instant import microseconds
from ingest_api.domain.log_batch import Applied, Partition
from kartoteka_contracts.codec import encode
from kartoteka_contracts.dead_letter import DeadLetterMark, Resolution
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import TaskError
from kartoteka_contracts.tasks import Stage, TaskKind, TaskStatus
from kartoteka_contracts.wire import Event
from kartoteka_runtime.metrics import Metrics
from kartoteka_testkit.builders import EPOCH, deletion, progressed, status_changed, submitted
from kartoteka_testkit.frozen_clock import FrozenClock
from kartoteka_testkit.run_events import reindex_requested


class View:
    """A view that is as far as it is told."""

    def __init__(self) -> None:
        self.is_caught_up = True
        self.is_away = False

    async def reach_end(self, *, within: float) -> None:
        del within
        if self.is_away:
            raise UnavailableError("view_behind")


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = FrozenClock(EPOCH)
        self.catalogue = SqliteCatalogue(folder, self.clock)
        self.view = View()
        self.metrics = Metrics()
        self.gauges = ViewGauges(
            self.metrics,
            view=self.view,
            counts=SqliteFigures(self.catalogue),
            clock=self.clock,
        )

    async def read(self, topic: str, *events: Event) -> Applied:
        builder = BatchBuilder()
        for event in events:
            at = int(EPOCH.timestamp() * 1000)
            builder.add(Record(topic, encode(event), timestamp=at, key=event.key.encode()))
        assert not builder.unreadable
        return await self.catalogue.apply(builder.batch({Partition(topic, 0): 1}))

    async def letters(self, *records: Record) -> None:
        builder = BatchBuilder()
        for record in records:
            builder.add(record)
        await self.catalogue.apply(builder.batch({Partition(DLQ, 0): 1}))

    def shown(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"kartoteka_{name}", labels)

    async def backlog(self) -> dict[str, tuple[float | None, float | None]]:
        await self.gauges.count()
        return {
            sort: (
                self.shown("backlog_documents", **{"class": sort}),
                self.shown("backlog_oldest_age_seconds", **{"class": sort}),
            )
            for sort in ("interactive", "bulk", "retry", "bulk_retry")
        }


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path / "view")
    await made.catalogue.open()
    await made.catalogue.wipe("log-1")
    yield made
    await made.catalogue.close()


_NOTHING = {"interactive": (0, 0), "bulk": (0, 0), "retry": (0, 0), "bulk_retry": (0, 0)}


async def test_an_empty_view_has_nothing_waiting_since_never(world: World) -> None:
    assert await world.backlog() == _NOTHING
    assert world.shown("dead_letters_open") == 0
    assert (world.shown("reindex_runs_open"), world.shown("reindex_oldest_run_age_seconds")) == (
        0,
        0,
    )


async def test_open_tasks_wait_where_they_were_sent_until_they_end(world: World) -> None:
    first = submitted(external_id="a")
    later = submitted(external_id="b", accepted_at=EPOCH + timedelta(seconds=20))
    await world.read("documents.interactive", first, later)
    await world.read("documents.bulk", deletion(external_id="c"))
    world.clock.advance(60)
    assert await world.backlog() == _NOTHING | {"interactive": (2, 60), "bulk": (1, 60)}
    world.clock.advance(1)  # ages are of the moment of the scrape, not of the count
    assert world.shown("backlog_oldest_age_seconds", **{"class": "interactive"}) == 61
    await world.read("task.status", status_changed(first, TaskStatus.SUCCEEDED, result={}))
    assert await world.backlog() == _NOTHING | {"interactive": (1, 41), "bulk": (1, 61)}


async def test_work_of_which_a_try_failed_waits_among_retries(world: World) -> None:
    event = submitted()
    error = TaskError(code="timeout", message="", retriable=True)
    await world.read("documents.interactive", event)
    retry = status_changed(event, TaskStatus.RETRYING, next_attempt_at=EPOCH, error=error)
    await world.read("task.status", retry)
    assert (await world.backlog())["retry"] == (1, 0)
    await world.read("task.progress", progressed(event, Stage.PARSING, attempt=1))
    assert await world.backlog() == _NOTHING | {"retry": (1, 0)}


async def test_a_reindex_of_which_a_try_failed_waits_among_no_uploads(world: World) -> None:
    event = submitted(epoch=microseconds(EPOCH))
    error = TaskError(code="timeout", message="", retriable=True)
    await world.read("documents.bulk", event)
    retry = status_changed(event, TaskStatus.RETRYING, next_attempt_at=EPOCH, error=error)
    await world.read("task.status", retry)
    assert await world.backlog() == _NOTHING | {"bulk_retry": (1, 0)}


async def test_what_was_lost_and_sent_again_stays_interactive(world: World) -> None:
    event = submitted()
    await world.read("documents.bulk", event)
    await world.read("documents.interactive", event)
    assert (await world.backlog())["interactive"] == (1, 0)


async def test_a_version_indexed_anew_is_as_old_as_the_wish_for_that(world: World) -> None:
    asked = EPOCH + timedelta(days=100)
    again = microseconds(asked)
    await world.read("documents.bulk", submitted(epoch=again))
    world.clock.advance(timedelta(days=100, seconds=3).total_seconds())
    assert (await world.backlog())["bulk"] == (1, 3)


async def test_runs_are_no_documents(world: World) -> None:
    await world.read("cabinets.reindex", reindex_requested(accepted_at=EPOCH))
    world.clock.advance(9)
    assert await world.backlog() == _NOTHING
    assert world.shown("reindex_runs_open") == 1
    assert world.shown("reindex_oldest_run_age_seconds") == 9


async def test_each_end_is_told_once(world: World) -> None:
    event = submitted()
    await world.read("documents.interactive", event)
    error = TaskError(code="poison", message="", retriable=False)
    end = status_changed(event, TaskStatus.FAILED, error=error)
    assert (await world.read("task.status", end, end)).ended == {
        (TaskKind.INDEX, TaskStatus.FAILED): 1
    }
    assert (await world.read("task.status", end)).ended == {}


async def test_letters_are_open_until_they_are_marked(world: World) -> None:
    def letter(offset: int) -> Record:
        headers = tuple(dead_letter(origin_offset=offset).to_headers())
        at = int(EPOCH.timestamp() * 1000)
        return Record(DLQ, b"raw", offset=offset, timestamp=at, key=b"7/x", headers=headers)

    def mark(of: int) -> Record:
        marked = DeadLetterMark(
            partition=0, offset=of, resolution=Resolution.DISCARDED, task_id=""
        ).to_headers()
        at = int(EPOCH.timestamp() * 1000)
        return Record(DLQ, None, offset=9, timestamp=at, key=b"7/x", headers=tuple(marked))

    await world.letters(letter(0), letter(1), mark(1), mark(5))  # of one, there is no letter
    await world.gauges.count()
    assert world.shown("dead_letters_open") == 1


async def test_before_the_view_is_built_nothing_is_known(world: World) -> None:
    world.view.is_caught_up = False
    await world.read("documents.interactive", submitted())
    assert (await world.backlog())["interactive"] == (None, None)
    assert world.shown("dead_letters_open") is None


async def test_what_cannot_be_counted_has_no_value(world: World) -> None:
    await world.gauges.count()
    await world.catalogue.close()
    world.catalogue = SqliteCatalogue(world.catalogue.path.parent, world.clock)
    gauges = ViewGauges(
        metrics := Metrics(),
        view=world.view,
        counts=SqliteFigures(world.catalogue),
        clock=world.clock,
    )
    await gauges.count()
    assert metrics.registry.get_sample_value("kartoteka_dead_letters_open") is None
    await world.catalogue.open()


async def test_a_view_that_cannot_see_the_end_of_the_log_grows_stale(world: World) -> None:
    assert world.shown("view_stale_seconds") is None
    await world.gauges.look()
    world.clock.advance(4)
    assert world.shown("view_stale_seconds") == 4
    world.view.is_away = True
    await world.gauges.look()
    world.clock.advance(100)
    assert world.shown("view_stale_seconds") == 104


async def test_a_hundred_thousand_open_tasks_are_counted_at_once(world: World) -> None:
    """From an index: what it costs must not grow with what the rows hold."""
    await world.read("documents.bulk", submitted())
    await world.catalogue.read(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
        "INSERT INTO tasks SELECT 't' || i, cabinet_id, kind, status, stage, progress, attempt, "
        "'d' || i, hex(randomblob(200)), version, epoch, filename, replay_of, accepted_us, "
        "updated_us, next_attempt_us, result, error, run, ended, queue, backlog, since_us + i, "
        "repair FROM tasks, n"
    )
    counts = SqliteFigures(world.catalogue)
    began = time.perf_counter()
    figures = await counts.figures()
    assert time.perf_counter() - began < 1
    assert figures.waiting[Backlog.BULK].count == 100_001
    assert figures.waiting[Backlog.BULK].since == EPOCH
    (plan,) = await world.catalogue.read(
        "EXPLAIN QUERY PLAN SELECT backlog, count(*), min(since_us) FROM tasks "
        "WHERE backlog IS NOT NULL GROUP BY backlog"
    )
    assert "COVERING INDEX tasks_backlog" in plan[3]
