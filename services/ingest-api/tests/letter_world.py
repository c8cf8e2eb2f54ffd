"""The routes of dead letters, over a real catalogue and a log in memory that the view follows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from reading_world import Keys, Record

from ingest_api.adapters.letter_catalogue import SqliteLetters
from ingest_api.adapters.log_records import BatchBuilder
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.domain.access import Scope
from ingest_api.domain.dead_letter import LetterId
from ingest_api.domain.log_batch import Partition
from ingest_api.entrypoints.http import dead_letter_routes
from ingest_api.entrypoints.http.app import Edge, create_app
from ingest_api.entrypoints.http.receive_deadline import ReceivePolicy
from ingest_api.letter_ports import RawLetter
from ingest_api.telemetry import Telemetry
from ingest_api.usecases.read_dead_letters import ReadDeadLetters
from ingest_api.usecases.resolve_dead_letters import ResolveDeadLetters
from kartoteka_contracts.codec import encode
from kartoteka_contracts.dead_letter import DeadLetter
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.metrics import Metrics
from kartoteka_testkit.builders import EPOCH
from kartoteka_testkit.frozen_clock import FrozenClock
from kartoteka_testkit.recording_log import RecordingLog

DLQ = "documents.dlq"


def dead_letter(**fields: Any) -> DeadLetter:
    """Return a letter that fields may differ from."""
    values: dict[str, Any] = {
        "reason": "malformed",
        "message": "the file is damaged",
        "stage": "parsing",
        "attempts": 1,
        "first_failed_at_ms": int(EPOCH.timestamp() * 1000),
        "origin_topic": "documents.interactive",
        "origin_partition": 3,
        "origin_offset": 42,
    }
    return DeadLetter(**(values | fields))


class Topic:
    """The dead letters' topic, one partition of it: what is appended lies there to be read."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.is_away = False

    def append(
        self,
        *,
        key: str,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...],
        at: datetime = EPOCH,
    ) -> int:
        offset = len(self.records)
        self.records.append(
            Record(
                DLQ,
                value,
                offset=offset,
                timestamp=int(at.timestamp() * 1000),
                key=key.encode(),
                headers=headers,
            )
        )
        return offset

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Topic"]:
        yield self

    async def read(self, letter_id: LetterId) -> RawLetter | None:
        if self.is_away:
            raise UnavailableError("event_log_unavailable")
        if letter_id.partition or letter_id.offset >= len(self.records):
            return None
        record = self.records[letter_id.offset]
        return RawLetter(value=record.value or b"", headers=record.headers)


class View:
    """Reads the topic whenever somebody asks to catch up, from where it stands."""

    def __init__(self, world: "LetterWorld") -> None:
        self._world = world
        self._next = 0
        self.is_behind = False

    async def catch_up(self) -> None:
        if self.is_behind:
            raise UnavailableError("view_behind")
        world = self._world
        for record in world.log.on(DLQ)[world.taken :]:
            world.topic.append(key=record.key, value=record.value, headers=record.headers)
            world.taken += 1
        builder = BatchBuilder()
        for found in world.topic.records[self._next :]:
            builder.add(found)
        assert not builder.unreadable
        self._next = len(world.topic.records)
        await world.catalogue.apply(builder.batch({Partition(DLQ, 0): self._next}))


@dataclass(kw_only=True)
class LetterWorld:
    catalogue: SqliteCatalogue
    clock: FrozenClock
    topic: Topic = field(default_factory=Topic)
    log: RecordingLog = field(default_factory=RecordingLog)
    keys: Keys = field(default_factory=Keys)
    taken: int = 0
    """Of what was produced to the topic, how much lies on it."""
    view: View = field(init=False)
    client: httpx.AsyncClient = field(init=False)

    async def dead(
        self,
        event: DocumentSubmitted | None = None,
        *,
        key: str | None = None,
        value: bytes | None = None,
        age: timedelta = timedelta(0),
        **letter: Any,
    ) -> str:
        """Let something die; returns the letter's id once the view has it."""
        if event is not None:
            key, value = event.key, encode(event)
            letter = {"task_id": event.task_id, **letter}
        offset = len(self.topic.records)
        headers = tuple(dead_letter(**{"origin_offset": offset, **letter}).to_headers())
        self.topic.append(key=key or "", value=value, headers=headers, at=EPOCH - age)
        await self.view.catch_up()
        return f"0-{offset}"

    async def get(self, path: str = "", key: str = "all", **query: Any) -> httpx.Response:
        return await self.client.get(f"/rag/dlq{path}", params=query, headers={"X-API-Key": key})

    async def ids(self, key: str = "all", **query: Any) -> list[str]:
        """The ids of a list that must be answered."""
        answer = await self.get("", key, **query)
        assert answer.status_code == 200, answer.text
        return [letter["id"] for letter in answer.json()["letters"]]

    async def post(self, action: str, key: str = "all", **body: Any) -> httpx.Response:
        return await self.client.post(f"/rag/dlq/{action}", json=body, headers={"X-API-Key": key})

    async def done(self, action: str, key: str = "all", **body: Any) -> dict[str, Any]:
        """POST what must be answered."""
        answer = await self.post(action, key, **body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@asynccontextmanager
async def letter_world(folder: Path) -> AsyncIterator[LetterWorld]:
    """Serve the routes; keys: all, seven, eight (cabinets), reader (no scope for letters)."""
    clock = FrozenClock(EPOCH)
    catalogue = SqliteCatalogue(folder, clock)
    await catalogue.open()
    await catalogue.wipe("log-1")
    world = LetterWorld(catalogue=catalogue, clock=clock)
    world.view = View(world)
    world.keys.add("all")
    world.keys.add("seven", 7)
    world.keys.add("eight", 8)
    world.keys.add("reader", 7, scopes=[Scope.READ, Scope.SEARCH, Scope.INGEST, Scope.DELETE])
    read = ReadDeadLetters(
        catalogue=SqliteLetters(catalogue), freshness=world.view, values=world.topic
    )
    resolve = ResolveDeadLetters(letters=read, log=world.log, clock=clock)
    edge = Edge(
        keys=world.keys,
        telemetry=Telemetry(Metrics()),
        clock=SystemClock(),
        receive=ReceivePolicy(timeout=5, min_rate=1000, slack=1, max_bytes=64 * 1024, larger={}),
    )
    app = create_app(edge, dead_letter_routes.router(read, resolve, clock))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        world.client = client
        yield world
    await catalogue.close()
