"""A scheduler's world without Kafka and without a cluster."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSeen, CabinetSettings
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId, Version
from kartoteka_contracts.reindex import ReindexRequested, SlotsEmitted
from kartoteka_contracts.schedule import Schedule
from kartoteka_runtime.clock import Clock
from kartoteka_testkit.frozen_clock import FrozenClock
from kartoteka_testkit.recording_log import Appended, RecordingLog
from scheduler.domain.register import Register
from scheduler.ports import Lock, LockError
from scheduler.usecases.reindex import Reindex
from scheduler.usecases.tick import Tick

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=30)


def configured(
    cabinet: int,
    *,
    cron: str = "0 */6 * * *",
    time_zone: str = "UTC",
    at: datetime = LONG_AGO,
    version: int = 1,
    enabled: bool = True,
) -> CabinetConfigured:
    schedule = Schedule(cron=cron, time_zone=time_zone)
    return CabinetConfigured(
        cabinet_id=CabinetId(cabinet),
        version=Version(version),
        settings=CabinetSettings(schedule=schedule, enabled=enabled),
        created_at=at,
        at=at,
    )


def seen(cabinet: int, at: datetime = LONG_AGO) -> CabinetSeen:
    return CabinetSeen(cabinet_id=CabinetId(cabinet), at=at)


class CuttingLog(RecordingLog):
    """A log whose broker goes away after so many more records; None: it stays."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None

    async def send(
        self,
        topic: str,
        *,
        key: str,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Appended:
        if self.left == 0:
            raise UnavailableError("event_log_unavailable")
        if self.left is not None:
            self.left -= 1
        return await super().send(topic, key=key, value=value, headers=headers)

    def runs(self) -> list[ReindexRequested]:
        found = [record.event for record in self.on("cabinets.reindex")]
        assert all(isinstance(event, ReindexRequested) for event in found)
        return [event for event in found if isinstance(event, ReindexRequested)]

    def watermarks(self) -> list[datetime]:
        found = [record.event for record in self.on("scheduler.state")]
        return [event.up_to for event in found if isinstance(event, SlotsEmitted)]


class MemoryState:
    """The topics: cabinets as they are put there, the watermark as the log has it."""

    def __init__(self, log: CuttingLog) -> None:
        self.events: list[CabinetConfigured | CabinetSeen] = []
        self.is_away = False
        self._log = log

    async def watermark(self) -> datetime | None:
        if self.is_away:
            raise UnavailableError("event_log_unavailable")
        found = self._log.watermarks()
        return found[-1] if found else None

    async def cabinets(self) -> Register:
        register = Register()
        for event in self.events:
            if isinstance(event, CabinetConfigured):
                register.configured(event)
            else:
                register.seen(event)
        return register


@dataclass(slots=True, kw_only=True)
class LockStore:
    """Where a lock lies that several want."""

    holder: str | None = None
    until: datetime = LONG_AGO
    is_away: bool = False
    asked: int = 0
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the second question and each later one."""


class MemoryLock:
    """One scheduler's hand on the lock."""

    def __init__(self, store: LockStore, name: str, clock: Clock, seconds: float = 60.0) -> None:
        self.store = store
        self.seconds = seconds
        self._name = name
        self._clock = clock

    async def acquire(self) -> bool:
        self.store.asked += 1
        if self.store.asked > 1:
            self.store.was_asked.set()
        if self.store.is_away:
            raise LockError("the keeper of the lock is away")
        now = self._clock.now()
        if self.store.holder not in {None, self._name} and self.store.until > now:
            return False
        self.store.holder, self.store.until = self._name, now + timedelta(seconds=self.seconds)
        return True

    async def release(self) -> None:
        if self.store.is_away:
            raise LockError("the keeper of the lock is away")
        if self.store.holder == self._name:
            self.store.holder = None


class MemoryJournal:
    def __init__(self) -> None:
        self.entries: list[int] = []

    async def emitted(self, cabinets: int) -> None:
        self.entries.append(cabinets)


class World:
    """Everything that one scheduler has to do with, at noon."""

    def __init__(self) -> None:
        self.clock = FrozenClock(NOON)
        self.log = CuttingLog()
        self.state = MemoryState(self.log)
        self.locks = LockStore()
        self.lock: Lock = MemoryLock(self.locks, "me", self.clock)
        self.journal = MemoryJournal()

    def tick(self, kind: type[Tick] = Tick, *, in_flight: int = 4) -> Tick:
        return kind(
            state=self.state,
            log=self.log,
            lock=self.lock,
            journal=self.journal,
            clock=self.clock,
            in_flight=in_flight,
        )

    def reindex(self) -> Reindex:
        return Reindex(state=self.state, log=self.log, clock=self.clock, in_flight=4)
