"""The routes that read and remove, over a real catalogue and an index in memory."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from qdrant_client import AsyncQdrantClient, models

from ingest_api.adapters.cabinet_catalogue import SqliteCabinets
from ingest_api.adapters.log_records import BatchBuilder
from ingest_api.adapters.records import ObjectArchive
from ingest_api.adapters.settings_archive import ObjectSettings
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.adapters.task_changes import TaskChanges
from ingest_api.domain.access import Principal, Scope
from ingest_api.domain.log_batch import Partition
from ingest_api.domain.run_plan import PlanFault, RunPlan
from ingest_api.entrypoints.http import (
    cabinet_routes,
    document_routes,
    index_routes,
    removal_routes,
    search_routes,
    task_routes,
)
from ingest_api.entrypoints.http.app import Edge, create_app
from ingest_api.entrypoints.http.receive_deadline import ReceivePolicy
from ingest_api.telemetry import Telemetry
from ingest_api.usecases.cancel import Cancel
from ingest_api.usecases.configure_cabinet import ConfigureCabinet
from ingest_api.usecases.delete import Delete
from ingest_api.usecases.job_events import JobEvents
from ingest_api.usecases.read_cabinets import ReadCabinets
from ingest_api.usecases.read_documents import ReadDocuments
from ingest_api.usecases.read_tasks import Miss, ReadTasks
from ingest_api.usecases.reindex import Reindex
from ingest_api.usecases.search import Search
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.codec import encode
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.reindex import ReindexMode, RunCounts
from kartoteka_contracts.wire import Event
from kartoteka_index import Index, QdrantSettings
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_runtime.source_settings import SourceSettings
from kartoteka_testkit.builders import EPOCH
from kartoteka_testkit.frozen_clock import FrozenClock
from kartoteka_testkit.index_cases import MODEL, direction
from kartoteka_testkit.recording_log import RecordingLog

_ALLOWED = SourceSettings(allowed_urls=("s3://company-documents/shared",))
UNKNOWN = "0198f2c4-b7a9-7d0e-8f5c-2a1b3d4e5f60"
"""An id that nothing has."""


@dataclass
class Record:
    """A consumed record."""

    topic: str
    value: bytes | None
    partition: int = 0
    offset: int = 0
    timestamp: int = int(EPOCH.timestamp() * 1000)
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Keys:
    """Keys that are their own tokens."""

    def __init__(self) -> None:
        self.known: dict[str, Principal] = {}

    def add(
        self, token: str, *cabinets: int, scopes: Sequence[Scope] = tuple(Scope)
    ) -> dict[str, str]:
        self.known[token] = Principal(
            key_id=token,
            name=token,
            scopes=frozenset(scopes),
            cabinets=frozenset(map(CabinetId, cabinets)) or None,
        )
        return {"X-API-Key": token}

    def find(self, token: str) -> Principal | None:
        return self.known.get(token)


class Log:
    """What was acknowledged but is not in the view yet, until somebody asks to catch up."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.pending: list[tuple[str, Event]] = []
        self.is_behind = False
        self.asked = 0

    async def catch_up(self) -> None:
        self.asked += 1
        if self.is_behind:
            raise UnavailableError("view_behind")
        while self.pending:
            topic, event = self.pending.pop(0)
            await self._world.apply(topic, event)


class Embedder:
    """Every query is nearest to chunk 0."""

    is_away = False

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        if self.is_away:
            raise UnavailableError("embeddings_unavailable")
        assert text
        return direction(0)


class Planner:
    """Says of every cabinet that there is nothing to do."""

    asked: list[tuple[CabinetId, ReindexMode]]
    is_away = False
    would_fail: PlanFault | None = None

    def __init__(self) -> None:
        self.asked = []

    async def plan(self, cabinet: AuthorisedCabinet, mode: ReindexMode) -> RunPlan:
        if self.is_away:
            raise UnavailableError("planner_unavailable", "an embedder at 10.0.0.1 is away")
        self.asked.append((cabinet.cabinet_id, mode))
        return RunPlan(
            cabinet_id=cabinet.cabinet_id,
            mode=mode,
            total=2,
            counts=RunCounts(seen=3, new=2, unchanged=1),
            chunks=44,
            estimated_seconds=5.5,
            would_fail=self.would_fail,
        )


class ShakyIndex(Index):
    """An index that can be away."""

    is_away = False

    async def _retrieve(self, ids: list[models.ExtendedPointId]) -> list[models.Record]:
        if self.is_away:
            raise UnavailableError("index_unavailable")
        return await super()._retrieve(ids)


@dataclass(kw_only=True)
class World:
    catalogue: SqliteCatalogue
    changes: TaskChanges
    index: ShakyIndex
    objects: ObjectStore
    events: RecordingLog = field(default_factory=RecordingLog)
    """What the routes sent."""
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(EPOCH))
    """Of what the routes write."""
    keys: Keys = field(default_factory=Keys)
    embedder: Embedder = field(default_factory=Embedder)
    planner: Planner = field(default_factory=Planner)
    misses: list[Miss] = field(default_factory=list)
    log: Log = field(init=False)
    client: httpx.AsyncClient = field(init=False)
    offset: int = 0

    async def apply(self, topic: str, *events: Event) -> None:
        builder = BatchBuilder()
        for event in events:
            builder.add(Record(topic, encode(event)))
        assert not builder.unreadable
        self.offset += len(events)
        applied = await self.catalogue.apply(builder.batch({Partition(topic, 0): self.offset}))
        self.changes.tell(applied.changed)

    async def get(self, path: str, key: str = "all", **query: Any) -> httpx.Response:
        return await self.client.get(path, params=query, headers={"X-API-Key": key})

    async def delete(self, path: str, key: str = "all", **query: Any) -> httpx.Response:
        return await self.client.delete(path, params=query, headers={"X-API-Key": key})

    async def put(self, path: str, body: Any, key: str = "all") -> httpx.Response:
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        return await self.client.put(path, content=json.dumps(body), headers=headers)

    async def post(self, path: str, body: Any = None, key: str = "all") -> httpx.Response:
        return await self.client.post(path, json=body, headers={"X-API-Key": key})

    async def search(self, body: dict[str, Any], key: str = "all") -> httpx.Response:
        return await self.client.post("/rag/search", json=body, headers={"X-API-Key": key})


@asynccontextmanager
async def _served(world: World) -> AsyncIterator[World]:
    world.log = Log(world)
    tasks = ReadTasks(
        catalogue=world.catalogue,
        freshness=world.log,
        changes=world.changes,
        clock=SystemClock(),
        on_miss=world.misses.append,
        heartbeat=0.05,
        longest=2.0,
    )
    documents = ReadDocuments(catalogue=world.catalogue, freshness=world.log, index=world.index)
    archive, jobs = ObjectArchive(world.objects), JobEvents(world.events)
    configure = ConfigureCabinet(
        archive=ObjectSettings(world.objects), policy=_ALLOWED, jobs=jobs, clock=world.clock
    )
    delete = Delete(
        documents=documents,
        archive=archive,
        removals=archive,
        configure=configure,
        jobs=jobs,
        clock=world.clock,
    )
    cabinets = ReadCabinets(
        catalogue=SqliteCabinets(world.catalogue), freshness=world.log, clock=world.clock
    )
    reindex = Reindex(cabinets=cabinets, planner=world.planner, jobs=jobs, clock=world.clock)
    cancel = Cancel(tasks=tasks, index=world.index, removals=archive, jobs=jobs, clock=world.clock)
    edge = Edge(
        keys=world.keys,
        telemetry=Telemetry(Metrics()),
        clock=SystemClock(),
        receive=ReceivePolicy(timeout=5, min_rate=1000, slack=1, max_bytes=64 * 1024, larger={}),
    )
    app = create_app(
        edge,
        task_routes.router(tasks),
        document_routes.router(documents),
        cabinet_routes.router(cabinets, configure),
        index_routes.router(reindex),
        removal_routes.router(delete, cancel),
        search_routes.router(Search(embedder=world.embedder, index=world.index)),
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        world.client = client
        yield world


@asynccontextmanager
async def reading_world(folder: Path) -> AsyncIterator[World]:
    """Serve the routes.

    Keys: all, seven, eight (cabinets); of cabinet 7, with one scope alone: the scope's name.
    """
    catalogue = SqliteCatalogue(folder, FrozenClock(EPOCH))
    await catalogue.open()
    await catalogue.wipe("log-1")
    index = ShakyIndex(AsyncQdrantClient(":memory:"), QdrantSettings(url="http://memory"), MODEL)
    await index.ensure()
    objects = ObjectStore.open(ObjectStoreSettings(url=f"file://{folder}/objects"))
    new = World(catalogue=catalogue, changes=TaskChanges(limit=3), index=index, objects=objects)
    new.keys.add("all")
    new.keys.add("seven", 7)
    new.keys.add("eight", 8)
    for scope in Scope:
        new.keys.add(scope.value, 7, scopes=[scope])
    async with _served(new):
        yield new
    await index.close()
    await catalogue.close()
