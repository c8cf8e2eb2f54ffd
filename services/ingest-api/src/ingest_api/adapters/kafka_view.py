"""The view: follows the log, keeps the catalogue, and knows how far it is.

It lives through anything the broker does: away, restarted, emptied, replaced. What it cannot
resume it forgets and reads again from the start; until then it does not call itself ready.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from aiokafka.errors import KafkaConnectionError, KafkaError, OffsetOutOfRangeError

from ingest_api.adapters.log_identity import Log, describe_log
from ingest_api.adapters.log_reader import VIEW_TOPICS, LogReader
from ingest_api.adapters.log_record import LogRecord
from ingest_api.adapters.log_records import BatchBuilder, status_event
from ingest_api.adapters.next_round import NextRound
from ingest_api.adapters.sqlite_catalogue import (
    CatalogueBusyError,
    CatalogueDamagedError,
    CatalogueUnwritableError,
    SqliteCatalogue,
)
from ingest_api.adapters.task_changes import TaskChanges
from ingest_api.adapters.view_metrics import ViewMetrics
from ingest_api.adapters.view_snapshots import ViewSnapshots
from ingest_api.domain.log_batch import Applied, LogBatch, Partition
from ingest_api.ports import EventLog
from ingest_api.settings import ViewSettings
from kartoteka_contracts.codec import encode
from kartoteka_contracts.errors import UnavailableError
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.health import Health
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.logs import get_logger

__all__ = ["KafkaView"]

_log = get_logger(__name__)

_HOLD: Final = "view"
_MISS_TOPICS: Final = frozenset(
    {
        "documents.interactive",
        "documents.bulk",
        "task.status",
        "documents.dlq",
        "cabinets",
        "cabinets.reindex",
    }
)
"""Where a task, a dead letter or a cabinet can first be seen as a whole, so what a miss depends
on."""
_CLIENT: Final = "kartoteka-view"
_RETRY: Final = Backoff(base=0.2, limit=5.0)
_HOUSEKEEPING_SECONDS: Final = 1.0
_PURGE_EVERY: Final = 60
_REPAIRS_AT_ONCE: Final = 100
_SNAPSHOT_LOOK_SECONDS: Final = 60.0
_SHAPE_EVERY_SECONDS: Final = 30.0
_UNUSABLE: Final = (CatalogueBusyError, CatalogueUnwritableError)


class _LogChangedError(Exception):
    """The log is not what it was when the session began: begin another."""


class KafkaView:
    """Follows the log until cancelled. Also says whether the catalogue has caught up.

    Args:
        kafka: where the log is.
        settings: how long a miss waits.
        catalogue: where what was read is kept; opened here.
        changes: told of tasks that changed.
        log: takes the states that must be written again.
        health: held while the view has not caught up since its start or rebuild.
        metrics: told what happens.
        clock: for intervals.
        snapshots: what an empty catalogue begins with, where there are any.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ViewSettings,
        *,
        catalogue: SqliteCatalogue,
        changes: TaskChanges,
        log: EventLog,
        health: Health,
        metrics: ViewMetrics,
        clock: Clock,
        snapshots: ViewSnapshots | None = None,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._catalogue = catalogue
        self._changes = changes
        self._event_log = log
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._snapshots = snapshots
        self._applied: dict[Partition, int] = {}
        self._goal: dict[Partition, int] | None = None
        self._ends: NextRound[dict[Partition, int]] | None = None
        self._advanced = asyncio.Event()
        health.hold(_HOLD, "the view has not begun to read the log")

    @property
    def is_caught_up(self) -> bool:
        """Whether it has reached the log's end as it was when reading began."""
        return self._goal is not None and self._has_reached(self._goal)

    async def run(self) -> None:
        """Follow the log until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._keep_house())
            if self._snapshots is not None:
                group.create_task(self._keep_snapshots(self._snapshots))

    async def catch_up(self) -> None:
        """Return once everything acknowledged before this call is in the catalogue.

        Raises:
            UnavailableError: ``view_behind``: not within the time that a miss may take.
        """
        await self.reach_end(within=self._settings.miss_wait)

    async def reach_end(self, *, within: float) -> None:
        """Return once everything acknowledged before this call is in the catalogue.

        Raises:
            UnavailableError: ``view_behind``: not within so many seconds.
        """
        try:
            async with asyncio.timeout(within):
                while self._ends is None:
                    await self._advance()
                ends = await self._ends.ask()
                while not self._has_reached(ends):
                    await self._advance()
        except TimeoutError as error:
            raise UnavailableError("view_behind") from error
        except KafkaError as error:
            raise UnavailableError("view_behind", "Kafka cannot be asked how far it is") from error

    async def _follow(self) -> None:
        failures = 0
        while True:
            before = dict(self._applied)
            try:
                await self._session()
            except (_LogChangedError, OffsetOutOfRangeError) as error:
                _log.warning("view_session_ended", reason=str(error) or type(error).__name__)
            except CatalogueDamagedError as error:
                _log.error("view_file_damaged", reason=str(error))
                self._metrics.rebuilt("damaged")
                self._goal = None
                self._health.hold(_HOLD, "the view's file was damaged and is built anew")
            except (KafkaError, OSError, *_UNUSABLE, TimeoutError) as error:
                reason = _reason(error)
                _log.warning("view_cannot_read", reason=reason)
                if not self.is_caught_up:
                    self._health.hold(_HOLD, f"the view cannot be built: {reason}")
            except asyncio.CancelledError:
                # The Kafka client can hand on the cancellation of a task of its own. Nobody who
                # waits for this task would hear of it: the view would just stop, blind.
                if _is_to_end():
                    raise
                _log.warning("view_cannot_read", reason="a part of it was cancelled from within")
            failures = 0 if self._applied != before else failures + 1
            await asyncio.sleep(_RETRY.delay(failures))

    async def _session(self) -> None:
        if self._catalogue.is_damaged:
            await self._catalogue.rebuild_file()
        elif not self._catalogue.is_open:
            await self._catalogue.open()
        if self._snapshots is not None and await self._catalogue.identity() is None:
            await self._snapshots.restore()
        log = await self._describe_log()
        async with LogReader(self._kafka, client_id=_CLIENT) as reader:
            begins = await reader.begin_offsets(log.partitions)
            ends = await reader.end_offsets(log.partitions)
            start = await self._resume(log.identity, begins, ends)
            reader.start_from(start)
            self._applied, self._goal = start, ends
            on_miss = [part for part in log.partitions if part.topic in _MISS_TOPICS]

            async def ask() -> dict[Partition, int]:
                async with asyncio.timeout(self._settings.miss_wait):
                    return await reader.end_offsets(on_miss)

            self._ends = NextRound(ask)
            self._wake()
            self._show_progress()
            try:
                await self._read(reader, log)
            finally:
                desk, self._ends = self._ends, None
                await desk.close()

    async def _resume(
        self, identity: str, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> dict[Partition, int]:
        """Return where to read on; wipe the catalogue where it cannot be gone on with."""
        stored = await self._catalogue.positions()
        known = await self._catalogue.identity()
        reason: Literal["new", "other_log", "offsets"] | None = None
        if known is None:
            reason = "new"
        elif known != identity:
            reason = "other_log"
        elif any(not begins.get(p, at + 1) <= at <= ends[p] for p, at in stored.items()):
            reason = "offsets"
        if reason is None:
            return {p: stored.get(p, begin) for p, begin in begins.items()}
        _log.info("view_rebuilt", reason=reason)
        self._metrics.rebuilt(reason)
        await self._catalogue.wipe(identity)
        self._changes.tell_all()
        return dict(begins)

    async def _describe_log(self) -> Log:
        return await describe_log(self._kafka, VIEW_TOPICS, client_id=_CLIENT)

    async def _read(self, reader: LogReader, log: Log) -> None:
        look_at = self._clock.monotonic() + _SHAPE_EVERY_SECONDS
        while True:
            if self._catalogue.is_damaged:
                raise CatalogueDamagedError("a query met damage")
            records = await reader.read()
            positions = await reader.positions()
            await self._take_in(records, positions)
            self._metrics.lag(reader.lag(positions))
            self._show_progress()
            if self._clock.monotonic() >= look_at:
                look_at = self._clock.monotonic() + _SHAPE_EVERY_SECONDS
                if await self._describe_log() != log:
                    raise _LogChangedError("topics were made again or got more partitions")

    async def _take_in(self, records: Sequence[LogRecord], positions: dict[Partition, int]) -> None:
        moved = {p: at for p, at in positions.items() if self._applied.get(p) != at}
        if not moved:
            return
        builder = BatchBuilder()
        for record in records:
            builder.add(record)
        applied = await self._apply(builder.batch(moved))
        self._report(records, builder, applied)
        self._applied = positions
        self._changes.tell(applied.changed)
        self._wake()

    async def _apply(self, batch: LogBatch) -> Applied:
        """Apply a batch; a full disk holds the view up, but loses nothing."""
        failures = 0
        while True:
            try:
                return await self._catalogue.apply(batch)
            except CatalogueUnwritableError as error:
                _log.error("view_cannot_write", reason=str(error))
                await asyncio.sleep(_RETRY.delay(failures))
                failures += 1

    def _report(
        self, records: Sequence[LogRecord], builder: BatchBuilder, applied: Applied
    ) -> None:
        for topic, count in Counter(record.topic for record in records).items():
            self._metrics.applied(topic, count)
        self._metrics.dropped(applied.dropped)
        if self.is_caught_up:  # what ended before this process began is no news
            self._metrics.ended(applied.ended)
        self._metrics.unreadable(len(builder.unreadable))
        for partition, offset, reason in builder.unreadable:
            _log.warning(
                "view_record_unreadable",
                topic=partition.topic,
                partition=partition.number,
                offset=offset,
                reason=reason,
            )

    def _show_progress(self) -> None:
        if self._goal is None:
            return
        if self._has_reached(self._goal):
            self._health.clear(_HOLD)
            return
        behind = sum(max(0, end - self._applied.get(p, 0)) for p, end in self._goal.items())
        self._health.hold(_HOLD, f"the view has {behind} records to read")

    async def _keep_house(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)
            rounds += 1
            try:
                if self.is_caught_up:
                    await self._repair()
                if rounds % _PURGE_EVERY == 0:
                    await self._catalogue.purge()
            except (UnavailableError, CatalogueUnwritableError) as error:
                _log.warning("view_housekeeping_put_off", reason=str(error))
            except CatalogueDamagedError:
                # The follower meets the same damage and rebuilds the file.
                _log.warning("view_housekeeping_put_off", reason="the file is damaged")

    async def _keep_snapshots(self, snapshots: ViewSnapshots) -> None:
        while True:
            await asyncio.sleep(_SNAPSHOT_LOOK_SECONDS)
            if self.is_caught_up:
                await snapshots.save_if_due()

    async def _repair(self) -> None:
        """Write stored states again where a lower one stands last on the compacted topic."""
        for task in await self._catalogue.to_repair(_REPAIRS_AT_ONCE):
            event = status_event(task)
            await self._event_log.send("task.status", key=event.key, value=encode(event))
            await self._catalogue.repaired(task.task_id)
            self._metrics.repaired()

    def _has_reached(self, ends: Mapping[Partition, int]) -> bool:
        return all(self._applied.get(p, -1) >= end for p, end in ends.items())

    async def _advance(self) -> None:
        await self._advanced.wait()

    def _wake(self) -> None:
        self._advanced.set()
        self._advanced = asyncio.Event()


def _is_to_end() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _reason(error: Exception) -> str:
    if isinstance(error, KafkaConnectionError):  # it would show Python's view of the addresses
        return "Kafka does not answer"
    return str(error) or type(error).__name__
