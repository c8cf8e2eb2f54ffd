"""A world to reindex: sources in memory, topics in memory, and all workers' work done for real."""

import asyncio
import hashlib
import inspect
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from indexing_world import CABINET, Crash, delivered
from reconcile_world import ReconcileWorld

from embedder.domain.job import Lease
from embedder.domain.outcome import Continued, Outcome, RunEnded
from embedder.planner_ports import CopiedObject, ListedObject, SourceError
from embedder.usecases.reindex_runs import ReindexRuns
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings, Source
from kartoteka_contracts.codec import decode, encode
from kartoteka_contracts.errors import KartotekaError
from kartoteka_contracts.events import DocumentDeletionRequested, DocumentSubmitted
from kartoteka_contracts.ids import CabinetId, DocumentId, document_id
from kartoteka_contracts.keys import cabinet_settings_key, record_prefix
from kartoteka_contracts.reindex import (
    ReindexRequested,
    ReindexTrigger,
    RunContinued,
    RunProgressed,
)
from kartoteka_index.manifest import Manifest
from kartoteka_index.runs import _point_id
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.objects import ObjectStore
from kartoteka_testkit.run_events import reindex_requested

_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Folder:
    """One source's objects."""

    objects: dict[str, tuple[str, int, datetime]] = field(default_factory=dict)
    """By path: text, how often it was written, when."""
    error: SourceError | None = None

    def write(self, path: str, text: str, at: datetime | None = None) -> None:
        times = self.objects[path][1] + 1 if path in self.objects else 1
        self.objects[path] = (text, times, at or _START + timedelta(minutes=times))


class MemorySources:
    """Sources that count what is read of them."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self.folders: dict[str, Folder] = {}
        self.listings = 0
        self.copied: list[str] = []
        self.refused: dict[str, str] = {}
        """Error codes by path."""
        self.strikes: BaseException | None = None
        """What every listing ends with: the worker that lists, or a store of ours."""

    async def listing(self, source: Source) -> AsyncIterator[list[ListedObject]]:
        self.listings += 1
        if self.strikes is not None:
            raise self.strikes
        folder = self.folders[source.name]
        for path in sorted(folder.objects):
            text, times, at = folder.objects[path]
            yield [ListedObject(path=path, stamp=f"{times}", size=len(text), modified=at)]
        if folder.error is not None:
            raise folder.error

    async def copy(self, source: Source, listed_path: str, *, to_key: str) -> CopiedObject:
        self.copied.append(listed_path)
        if listed_path in self.refused:
            raise KartotekaError(self.refused[listed_path])
        folder = self.folders[source.name]
        if folder.error is not None:
            raise folder.error
        if listed_path not in folder.objects:
            raise KartotekaError("source_object_gone")
        text, times, _ = folder.objects[listed_path]

        async def body() -> AsyncIterator[bytes]:
            yield text.encode()

        size = await self._objects.write(to_key, body())
        digest = hashlib.sha256(text.encode()).hexdigest()
        return CopiedObject(sha256=digest, size=size, media_type="text/plain", stamp=f"{times}")


class Backlog:
    """Says how much waits."""

    def __init__(self) -> None:
        self.waits = 0
        self.keys: set[str] = set()
        """Of events that wait in one of the topics of documents."""

    async def size(self, topic: str) -> int:
        assert topic == "documents.bulk"
        return self.waits

    async def waiting(self, keys: Collection[str]) -> frozenset[str]:
        return frozenset(keys) & self.keys


class Ticked(Protocol):
    """What counts calls."""

    async def tick(self, place: str) -> None:
        """Note that a place was reached."""


class Ticking:
    """Passes calls on to a port; every one, and every page of a listing, counts."""

    def __init__(self, port: Any, countdown: Ticked) -> None:
        self._port = port
        self._countdown = countdown

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._port, name)
        if inspect.isasyncgenfunction(target):
            return self._pages(name, target)
        if not asyncio.iscoroutinefunction(target):
            return target

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._countdown.tick(f"before {name}")
            result = await target(*args, **kwargs)
            await self._countdown.tick(f"after {name}")
            return result

        return call

    def _pages(self, name: str, target: Any) -> Any:
        async def pages(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async for page in target(*args, **kwargs):
                await self._countdown.tick(f"page of {name}")
                yield page

        return pages


def plain(port: Any) -> Any:
    """Leave a port as it is."""
    return port


class ReindexWorld(ReconcileWorld):
    """Documents, sources, runs; and workers that do what is sent."""

    def __init__(self, folder: Path, *, page_size: int = 2) -> None:
        super().__init__(folder)
        self.sources = MemorySources(self.objects)
        self.backlog = Backlog()
        self.page_size = page_size
        self.most_objects = 1000
        self.queue: list[ReindexRequested | RunContinued] = []
        """Events of runs that are sent and not processed."""
        self.children: list[DocumentSubmitted | DocumentDeletionRequested] = []
        """All that was sent for workers, also what they have done."""
        self.delivered: list[ReindexRequested | RunContinued] = []
        self.beats = 0
        """Signs of life that long steps gave."""
        self._read = 0
        self._done = 0

    def _beat(self) -> None:
        self.beats += 1

    def planner(
        self, around: Callable[[Any], Any] = plain, *, metrics: Metrics | None = None
    ) -> ReindexRuns:
        """Return the use case, each of its ports wrapped."""
        return ReindexRuns(
            archive=around(self.objects),
            index=around(self.index),
            sources=around(self.sources),
            extractor=self.extractor,
            log=around(self.log),
            backlog=around(self.backlog),
            clock=self.clock,
            beat=self._beat,
            page_size=self.page_size,
            max_objects=self.most_objects,
            metrics=metrics,
        )

    async def configure(self, *names: str) -> None:
        """Give the cabinet these sources."""
        sources = tuple(Source(name=name, url=f"file:///{name}") for name in names)
        for name in names:
            self.sources.folders.setdefault(name, Folder())
        version = self.version()
        event = CabinetConfigured(
            cabinet_id=CabinetId(CABINET.cabinet_id),
            version=version,
            settings=CabinetSettings(sources=sources),
            created_at=self.clock.now(),
            at=self.clock.now(),
        )
        await self.objects.create(
            cabinet_settings_key(CABINET.cabinet_id, version), event.model_dump_json().encode()
        )

    def write(self, path: str, text: str, *, source: str = "docs") -> None:
        """Write an object outside."""
        self.sources.folders[source].write(path, text, self.clock.now())

    def remove(self, path: str, *, source: str = "docs") -> None:
        """Remove an object outside."""
        del self.sources.folders[source].objects[path]

    async def uploaded(self, text: str, external_id: str) -> Manifest:
        """Upload a document and let a worker do it."""
        job = await self.upload(text, external_id=external_id)
        await self.run(job)
        return await self.manifest(job)

    async def lose_run_state(self) -> None:
        """Let the index forget where the cabinet's run stands."""
        client, documents = self.index._client, self.index._documents
        await client.delete(documents, [_point_id(CABINET.cabinet_id)])

    async def forget_records(self, document: DocumentId) -> None:
        """Lose what is recorded of a document."""
        prefix = record_prefix(CabinetId(CABINET.cabinet_id), document)
        await self.objects.delete(await self.objects.keys(prefix))

    async def document(self, external_id: str) -> Manifest | None:
        """Return what stands about a document."""
        return await self.index.manifest(CABINET, document_id(CABINET.cabinet_id, external_id))

    def request(self, **fields: Any) -> ReindexRequested:
        """Ask for a run, a second after all before."""
        self.clock.advance(1)
        values: dict[str, Any] = {"trigger": ReindexTrigger.MANUAL, "accepted_at": self.clock.now()}
        return reindex_requested(cabinet=CABINET.cabinet_id, **(values | fields))

    async def deliver(
        self, event: ReindexRequested | RunContinued, around: Callable[[Any], Any] = plain
    ) -> Outcome:
        """Deliver one event of a run; what it sends is queued, also where it crashes."""
        planner = self.planner(around)
        try:
            if isinstance(event, ReindexRequested):
                return await planner.request(event, Lease())
            return await planner.proceed(event, Lease())
        finally:
            self._take()

    async def drive(
        self, *events: ReindexRequested, around: Callable[[Any], Any] = plain, works: bool = True
    ) -> list[Outcome]:
        """Deliver events and all that they lead to, again after a crash; return the ends."""
        self.queue += events
        ends: list[Outcome] = []
        for _ in range(500):
            if not self.queue:
                return ends
            event = self.queue[0]
            self.delivered.append(event)
            try:
                outcome = await self.deliver(event, around)
            except Crash:
                self.clock.advance(60)
                continue
            self.queue.pop(0)
            if not isinstance(outcome, Continued):
                ends.append(outcome)
            if works:
                await self.do_children()
            self.clock.advance(30)
        raise AssertionError("the run never ends")

    async def reindex(self, **fields: Any) -> Outcome:
        """Drive one run to its end."""
        *_, end = await self.drive(self.request(**fields))
        return end

    async def copied(self, *paths: str) -> None:
        """Have these objects outside, and documents of them."""
        for path in paths:
            self.write(path, f"text of {path}")
        end = await self.reindex()
        assert isinstance(end, RunEnded)
        assert end.result.success == len(paths)
        self.forget()

    def forget(self) -> None:
        """Forget what was sent, delivered and copied until now."""
        self.children.clear()
        self.delivered.clear()
        self.sources.copied.clear()
        self._done = 0

    async def do_children(self) -> None:
        """Let workers do what is sent."""
        while self._done < len(self.children):
            event = self.children[self._done]
            self._done += 1
            await self.settle(delivered(event))

    def progress(self) -> list[RunProgressed]:
        """Return what was told on the way."""
        events = [decode(value) for value in self.log.posted]
        return [event for event in events if isinstance(event, RunProgressed)]

    async def _all(self, collection: str) -> list[Any]:
        """Return all points but the state of runs."""
        records = await super()._all(collection)
        return [record for record in records if "run_of" not in (record.payload or {})]

    def _take(self) -> None:
        for topic, key, value, _ in self.log.sent[self._read :]:
            event = decode(value)
            assert event.key == key
            assert encode(event) == value
            if topic == "cabinets.reindex":
                assert isinstance(event, ReindexRequested | RunContinued)
                self.queue.append(event)
            else:
                assert topic == "documents.bulk"
                assert isinstance(event, DocumentSubmitted | DocumentDeletionRequested)
                self.children.append(event)
        self._read = len(self.log.sent)
