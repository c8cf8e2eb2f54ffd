"""A world to reconcile: real stores, a clock that can be moved, topics that can lose everything."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from indexing_world import CABINET, DIMENSION, World, delivered

from embedder.domain.job import Job, JobEvent, RunEvent
from embedder.reconcile_ports import Log
from embedder.usecases.reconcile import Plan, Reconcile
from embedder.usecases.reconcile_report import Report
from embedder.usecases.reconcile_rules import Ages
from kartoteka_contracts.codec import decode, encode
from kartoteka_contracts.events import CabinetDeletionRequested
from kartoteka_contracts.ids import DocumentId, Epoch, Version
from kartoteka_contracts.keys import cabinet_deletion_key, cancel_key
from kartoteka_contracts.topics import JOB_TOPICS
from kartoteka_index.points import ChunkPoint
from kartoteka_index.upkeep import Upkeep
from kartoteka_runtime.object_listing import ListingStore
from kartoteka_runtime.objects import ObjectStoreSettings
from kartoteka_testkit import builders
from kartoteka_testkit.frozen_clock import FrozenClock

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass
class Topics:
    """What is in the job topics and not processed; the backlog that reconciliation looks into."""

    clock: FrozenClock
    waiting_events: list[tuple[JobEvent, datetime]] = field(default_factory=list)
    looks: int = 0

    def put(self, *jobs: Job) -> None:
        """Send events, now."""
        self.waiting_events += [(job.event, self.clock.now()) for job in jobs]

    async def oldest(self) -> datetime | None:
        return min((sent for _, sent in self.waiting_events), default=None)

    async def waiting(
        self, keys: Collection[str], *, topics: Collection[str] = JOB_TOPICS
    ) -> frozenset[str]:
        self.looks += 1
        return frozenset(
            event.key
            for event, _ in self.waiting_events
            if isinstance(event, RunEvent) is (tuple(topics) != JOB_TOPICS)
        ) & frozenset(keys)


class ReconcileWorld(World):
    """What was asked, what was decided, what is under way; and time."""

    index: Upkeep
    objects: ListingStore

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        plain = self.index
        self.index = Upkeep(plain._client, plain._settings, plain._model)
        self.objects = ListingStore.open(ObjectStoreSettings(url=f"file://{folder}/objects"))
        self.clock = FrozenClock(datetime.now(UTC))
        self.topics = Topics(self.clock)
        self._versions = 0

    def version(self) -> Version:
        """Return the next version: of this time, and higher than all before."""
        self._versions += 1
        return Version(int(self.clock.now().timestamp() * 1_000_000) + self._versions)

    def later(self, much: timedelta) -> None:
        """Let time pass."""
        self.clock.advance(much.total_seconds())

    async def upload(self, text: str, **fields: Any) -> Job:
        """Accept a document, without sending its event."""
        return await self.accept(text, version=self.version(), **fields)

    async def delete(self, **fields: Any) -> Job:
        """Accept a delete, without sending its event."""
        return await self.accept_delete(version=self.version(), **fields)

    async def cancel(self, job: Job, content: bytes | None = None) -> str:
        """Leave the mark of a cancellation, as ingest-api does, without sending its event."""
        event = job.submission
        key = cancel_key(event.cabinet_id, event.document_id, event.version, event.task_id)
        mark = encode(builders.cancellation(event)) if content is None else content
        await self.objects.create(key, mark)
        return key

    async def delete_cabinet(self) -> CabinetDeletionRequested:
        """Accept a cabinet's delete, without sending its event."""
        event = builders.cabinet_deletion(cabinet=CABINET.cabinet_id, version=self.version())
        await self.objects.create(
            cabinet_deletion_key(event.cabinet_id, event.version), encode(event)
        )
        return event

    async def plant(self, job: Job, chunks: int, *, epoch: int = 0, version: int = 0) -> None:
        """Write chunks of a work as a try does that dies before it decides."""
        event = job.submission
        vector = np.full(DIMENSION, DIMENSION**-0.5, dtype=np.float32)
        await self.index.upsert(
            CABINET,
            [
                ChunkPoint(
                    document_id=DocumentId(event.document_id),
                    version=Version(version or event.version),
                    epoch=Epoch(epoch),
                    n=n,
                    vector=vector,
                    text=f"planted {n}",
                    page=None,
                    start=0,
                    end=1,
                    external_id=event.external_id,
                    filename=event.filename,
                )
                for n in range(chunks)
            ],
        )

    async def reconcile(
        self, ages: Ages | None = None, *, is_dry: bool = False, log: Log | None = None
    ) -> Report:
        """Run it once; nothing is sent before a minute has passed, as by default."""
        usecase = Reconcile(
            archive=self.objects,
            index=self.index,
            backlog=self.topics,
            log=log or self.log,
            clock=self.clock,
        )
        return await usecase.run(Plan(is_dry=is_dry, ages=ages or Ages(), rate=1e6))

    def emitted(self) -> list[JobEvent]:
        """Return what was sent to job topics, and forget it."""
        events = [decode(value) for value in self.log.on("documents.bulk")]
        self.log.sent.clear()
        return [event for event in events if isinstance(event, JobEvent)]

    async def process_emitted(self) -> int:
        """Do the work that reconciliation sent; return how many events there were."""
        events = self.emitted()
        for event in events:
            await self.settle(delivered(event))
        return len(events)
