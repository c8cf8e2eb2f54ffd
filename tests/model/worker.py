"""One embedder process: all of its core, as the composition root puts it together."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import httpx
from qdrant_client import AsyncQdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException

from embedder.domain.admission import Limits
from embedder.domain.delivery import Delivery
from embedder.domain.flood import FloodLimit
from embedder.domain.job import Lease, Origin, RawRecord
from embedder.domain.retry import RetryPolicy
from embedder.domain.window import Place
from embedder.entrypoints.dispatcher import Dispatcher
from embedder.entrypoints.ticket import Ticket
from embedder.usecases.cancel_task import CancelTask
from embedder.usecases.delete_cabinet import DeleteCabinet
from embedder.usecases.delete_document import DeleteDocument
from embedder.usecases.index_document import IndexDocument
from embedder.usecases.outages import Dependency, Outages
from embedder.usecases.scratch import Scratch
from embedder.usecases.settle import SettleJobs
from embedder.usecases.work import DoWork, Runs
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.topics import JOB_TOPICS
from kartoteka_index import Index, ModelIdentity, QdrantSettings
from kartoteka_index.upkeep import Upkeep
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.producer import Delivered
from tests.model.contents import DIMENSION, FlatEmbedder, LineExtractor
from tests.model.memory_log import MemoryLog, Stored
from tests.model.memory_objects import MemoryObjects, Shelf
from tests.model.memory_qdrant import MemoryCollections, MemoryQdrant
from tests.model.process import Process

__all__ = ["EVENT_LOG", "INDEX", "OBJECT_STORE", "Stores", "Worker", "index_for", "objects_for"]

T = TypeVar("T")

INDEX: Final = "index"
OBJECT_STORE: Final = "object_store"
EVENT_LOG: Final = "event_log"

_SETTINGS: Final = QdrantSettings(url="http://memory")
_MODEL: Final = ModelIdentity(name=FlatEmbedder.name, dimension=DIMENSION)
_LIMITS: Final = Limits(
    interactive=4, bulk=3, retry=3, running=3, reserved=1, held=4, unacknowledged=8
)
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - bodies on their way to the parser, a few bytes
_SCRATCH: Final = _MEMORY if os.access(_MEMORY, os.W_OK) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What outlives every process."""

    index: MemoryCollections
    objects: Shelf
    log: MemoryLog
    clock: Clock


def index_for(process: Process, stores: Stores) -> Upkeep:
    """Return the index as a process reaches it."""

    async def passing(label: str, effect: Callable[[], T]) -> T:
        if label == "collection_exists":  # what probes ask
            if process.is_away(INDEX):
                raise _no_answer()
            return effect()
        return await process.call(INDEX, label, effect, _no_answer)

    client: Any = MemoryQdrant(stores.index, passing)
    return Upkeep(cast("AsyncQdrantClient", client), _SETTINGS, _MODEL)


def objects_for(process: Process, stores: Stores) -> MemoryObjects:
    """Return object storage as a process reaches it."""

    async def passing(label: str, effect: Callable[[], T]) -> T:
        return await process.call(OBJECT_STORE, label, effect, _no_objects)

    return MemoryObjects(stores.objects, passing)


class ProcessLog:
    """The producer of a process."""

    def __init__(self, process: Process, log: MemoryLog) -> None:
        self._process = process
        self._log = log

    async def send(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Delivered:
        record = await self._process.call(
            EVENT_LOG,
            f"send {topic}",
            lambda: self._log.append(topic, key, value, headers),
            _no_log,
        )
        return Delivered(topic=topic, partition=record.partition, offset=record.offset)

    def post(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        if not (self._process.is_dead or self._process.is_away(EVENT_LOG)):
            self._log.append(topic, key, value, headers)


class Worker(Process):
    """An embedder. Its member of the group is here, too: it forgets nothing until it is told."""

    def __init__(self, loop: Any, name: str, away: set[str], stores: Stores) -> None:
        super().__init__(loop, name, away)
        self._stores = stores
        self.generation = -1
        self.places: frozenset[Place] = frozenset()
        self.acked: dict[Place, int] = {}
        self.gone: str | None = None
        """Why it is no member any more: a zombie works on, and acknowledges in vain."""
        self.violations: list[str] = []
        self._given: defaultdict[Place, int] = defaultdict(int)
        self.handler = self.own(self._assemble)
        self.dispatcher = self.own(lambda: Dispatcher(self.handler, _LIMITS, clock=stores.clock))
        self.outages.guard(self.dispatcher)
        self.running = self.start(self.dispatcher.run())
        self._queues: dict[str, asyncio.Queue[Delivery]] = {
            topic: asyncio.Queue() for topic in JOB_TOPICS
        }
        for queue in self._queues.values():
            self.start(self._feed(queue))
        loop.settle()

    def turn(self, generation: int, places: Collection[Place]) -> None:
        """Take part in a generation with these partitions."""
        self.generation, self.places, self.gone = generation, frozenset(places), None
        self.own(lambda: self._turn(generation))

    def _turn(self, generation: int) -> None:
        self.dispatcher.suspend()
        self.dispatcher.turn(generation, self.places)
        for queue in self._queues.values():
            while not queue.empty():
                queue.get_nowait()
        log = self._stores.log
        self.acked = {place: log.committed[place] for place in sorted(self.places)}
        self._given.clear()
        for place in sorted(self.places):
            self._given[place] = log.committed[place]
            for record in log.records[place][log.committed[place] :]:
                self.take(record)

    def take(self, record: Stored) -> None:
        """Deliver a record of one of its partitions, unless it was delivered."""
        if record.offset < self._given[record.place]:
            return
        self._given[record.place] = record.offset + 1
        self._queues[record.topic].put_nowait(self._delivery(record))

    def _delivery(self, record: Stored) -> Delivery:
        generation = self.generation
        origin = Origin(topic=record.topic, partition=record.partition, offset=record.offset)
        return Delivery(
            record=RawRecord(
                origin=origin, key=record.key, value=record.value, headers=record.headers
            ),
            generation=generation,
            acknowledge=lambda: self._acknowledge(record, generation),
        )

    def redo(self, record: Stored) -> None:
        """Do a record's work once more, beside the dispatcher: nothing is known of other work."""
        job = Ticket.of(self._delivery(record)).job
        work = self.start(self.handler.handle(job, Lease()))
        self.loop.settle()
        while not work.done() and self.step(0) is not None:
            pass
        work.result()

    async def _acknowledge(self, record: Stored, generation: int) -> None:
        await self.park("ack")
        if self.gone or generation != self.generation:
            return
        if self.acked[record.place] != record.offset:
            self.violations.append(f"{record.place} {record.offset} acknowledged over a gap")
        self.acked[record.place] = record.offset + 1

    async def _feed(self, queue: "asyncio.Queue[Delivery]") -> None:
        while True:
            await self.dispatcher.submit(await queue.get())

    def _assemble(self) -> SettleJobs:
        stores, clock = self._stores, self._stores.clock
        index: Index = index_for(self, stores)
        bodies = objects_for(self, stores)
        self.outages = Outages(
            [
                Dependency(name=INDEX, code="index_unavailable", probe=index.ping),
                self._dependency(OBJECT_STORE, "object_store_unavailable"),
                self._dependency(EVENT_LOG, "event_log_unavailable"),
            ],
            clock=clock,
        )
        work = DoWork(
            index_document=IndexDocument(
                bodies=bodies,
                extractor=LineExtractor(self),
                embedder=FlatEmbedder(self),
                index=index,
                clock=clock,
                scratch=Scratch(size=1 << 20, bodies=2, folder=_SCRATCH),
            ),
            delete_document=DeleteDocument(index=index, bodies=bodies, clock=clock),
            delete_cabinet=DeleteCabinet(index=index, bodies=bodies, clock=clock),
            cancel_task=CancelTask(index=index, bodies=bodies, clock=clock),
            reindex=cast("Runs", None),  # the model has no runs
        )
        return SettleJobs(
            work=work,
            log=ProcessLog(self, stores.log),
            policy=RetryPolicy(),
            clock=clock,
            outages=self.outages,
            flood=FloodLimit(in_a_row=10_000),
        )

    def _dependency(self, name: str, code: str) -> Dependency:
        async def probe() -> None:
            if self.is_away(name):
                raise UnavailableError(code)

        return Dependency(name=name, code=code, probe=probe)


def _no_answer() -> Exception:
    return ResponseHandlingException(httpx.ReadTimeout("no answer"))


def _no_objects() -> Exception:
    return UnavailableError("object_store_unavailable")


def _no_log() -> Exception:
    return UnavailableError("event_log_unavailable")
