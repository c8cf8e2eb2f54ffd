"""The routes that read, over a real catalogue and an index in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from qdrant_client import AsyncQdrantClient

from ingest_api.adapters.log_records import BatchBuilder
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.adapters.task_changes import TaskChanges
from ingest_api.domain.access import Principal, Scope
from ingest_api.domain.log_batch import Partition
from ingest_api.entrypoints.http import document_routes, search_routes, task_routes
from ingest_api.entrypoints.http.app import Edge, create_app
from ingest_api.entrypoints.http.receive_deadline import ReceivePolicy
from ingest_api.telemetry import Telemetry
from ingest_api.usecases.read_documents import ReadDocuments
from ingest_api.usecases.read_tasks import Miss, ReadTasks
from ingest_api.usecases.search import Search
from kartoteka_contracts.codec import encode
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import Event
from kartoteka_contracts.ids import CabinetId, new_task_id
from kartoteka_contracts.tasks import Stage, TaskStatus
from kartoteka_index import Index, Outcome, QdrantSettings
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.metrics import Metrics
from kartoteka_testkit.builders import EPOCH, progressed, status_changed, submitted
from kartoteka_testkit.frozen_clock import FrozenClock
from kartoteka_testkit.index_cases import MODEL, Case, cabinet, direction

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")

_UNKNOWN = "0198f2c4-b7a9-7d0e-8f5c-2a1b3d4e5f60"


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


@dataclass(kw_only=True)
class World:
    catalogue: SqliteCatalogue
    changes: TaskChanges
    index: Index
    keys: Keys = field(default_factory=Keys)
    embedder: Embedder = field(default_factory=Embedder)
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
        search_routes.router(Search(embedder=world.embedder, index=world.index)),
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        world.client = client
        yield world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    catalogue = SqliteCatalogue(tmp_path, FrozenClock(EPOCH))
    await catalogue.open()
    await catalogue.wipe("log-1")
    index = Index(AsyncQdrantClient(":memory:"), QdrantSettings(url="memory"), MODEL)
    await index.ensure()
    new = World(catalogue=catalogue, changes=TaskChanges(limit=3), index=index)
    new.keys.add("all")
    new.keys.add("seven", 7)
    new.keys.add("eight", 8)
    new.keys.add("ingest", 7, scopes=[Scope.INGEST])
    async with _served(new):
        yield new
    await index.close()
    await catalogue.close()


# Tasks.


async def test_a_task_answers_with_everything_that_is_known_of_it(world: World) -> None:
    event = submitted(cabinet=7)
    await world.apply("documents.interactive", event)
    await world.apply("task.progress", progressed(event, Stage.EMBEDDING))
    answer = await world.get(f"/rag/task/{event.task_id}", "seven")
    assert answer.status_code == 200
    assert answer.json() == {
        "task_id": event.task_id,
        "kind": "index",
        "status": "running",
        "stage": "embedding",
        "progress": 0.5,
        "attempt": 0,
        "cabinet_id": 7,
        "document_id": event.document_id,
        "external_id": "report.pdf",
        "version": 1000,
        "filename": "report.pdf",
        "accepted_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "next_attempt_at": None,
        "result": None,
        "error": None,
    }


async def test_a_failed_task_says_why(world: World) -> None:
    event = submitted()
    error = {"code": "encrypted", "message": "It has a password.", "retriable": False}
    await world.apply("task.status", status_changed(event, TaskStatus.FAILED, error=error))
    answer = (await world.get(f"/rag/task/{event.task_id}")).json()
    assert (answer["status"], answer["error"]) == ("failed", error)


async def test_a_task_acknowledged_a_moment_ago_is_waited_for(world: World) -> None:
    event = submitted()
    world.log.pending.append(("documents.interactive", event))
    answer = await world.get(f"/rag/task/{event.task_id.upper()}")
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert world.misses == ["found"]


async def test_a_task_of_which_only_progress_came_is_waited_for(world: World) -> None:
    event = submitted()
    await world.apply("task.progress", progressed(event, Stage.PARSING))
    world.log.pending.append(("documents.interactive", event))
    answer = (await world.get(f"/rag/task/{event.task_id}")).json()
    assert (answer["kind"], answer["status"]) == ("index", "running")


async def test_whether_a_task_exists_is_not_guessed_while_the_view_is_behind(
    world: World,
) -> None:
    world.log.is_behind = True
    answer = await world.get(f"/rag/task/{_UNKNOWN}")
    assert (answer.status_code, answer.json()["code"]) == (503, "view_behind")
    assert int(answer.headers["Retry-After"]) >= 1
    assert world.misses == ["behind"]


@pytest.mark.parametrize("path", ["/rag/task/{}", "/rag/task/{}/events", "/rag/documents/{}"])
async def test_a_foreign_id_answers_exactly_as_an_unknown_one(world: World, path: str) -> None:
    event = submitted(cabinet=7, external_id="a.txt")
    await world.apply("documents.interactive", event)
    await Case(world.index, cabinet(7)).publish(1000)
    foreign_id = event.document_id if "documents" in path else event.task_id
    foreign = await world.get(path.format(foreign_id), "eight")
    asked = world.log.asked
    unknown = await world.get(path.format(_UNKNOWN), "eight")
    strange = await world.get(path.format("no-id"), "eight")
    assert asked == 1, "a foreign id takes the way of an unknown one"
    assert {foreign.status_code, unknown.status_code, strange.status_code} == {404}
    bodies = [dict(answer.json()) for answer in (foreign, unknown, strange)]
    for body in bodies:
        del body["instance"]
    assert bodies[0] == bodies[1] == bodies[2]
    own = await world.get(path.format(foreign_id), "seven") if "events" not in path else None
    assert own is None or own.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"/rag/task/{_UNKNOWN}",
        f"/rag/task/{_UNKNOWN}/events",
        "/rag/tasks",
        f"/rag/documents/{_UNKNOWN}",
        "/rag/cabinets/7/documents",
    ],
)
async def test_reading_takes_a_key_with_the_scope(world: World, path: str) -> None:
    assert (await world.get(path, "wrong")).status_code == 401
    assert (await world.get(path, "ingest")).status_code == 403


async def test_tasks_are_listed_page_by_page_within_the_keys_cabinets(world: World) -> None:
    events = [
        submitted(external_id=str(n), cabinet=7 + n % 2, accepted_at=EPOCH + timedelta(seconds=n))
        for n in range(9)
    ]
    await world.apply("documents.interactive", *events)
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await world.get("/rag/tasks", "seven", **query)).json()
        found += [task["task_id"] for task in page["tasks"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == [event.task_id for event in reversed(events) if event.cabinet_id == 7]
    everything = (await world.get("/rag/tasks", "all")).json()
    assert len(everything["tasks"]) == 9
    await world.apply("task.status", status_changed(events[0], TaskStatus.SUCCEEDED))
    ended = (await world.get("/rag/tasks", "all", cabinet=7, status="succeeded")).json()
    assert [task["task_id"] for task in ended["tasks"]] == [events[0].task_id]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"cabinet": "8"}, 403),
        ({"cabinet": "0"}, 422),
        ({"cabinet": "seven"}, 422),
        ({"cursor": "1.2"}, 422),
        ({"cursor": "9" * 60}, 422),
        ({"limit": 0}, 422),
        ({"limit": 501}, 422),
        ({"status": "happy"}, 422),
    ],
    ids=str,
)
async def test_lists_refuse_what_they_cannot_answer(
    world: World, query: dict[str, Any], status: int
) -> None:
    assert (await world.get("/rag/tasks", "seven", **query)).status_code == status


# Events.


def states(stream: str) -> list[str]:
    data = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
    return [json.loads(line)["status"] for line in data]


async def test_a_stream_begins_with_the_present_and_ends_with_the_end(world: World) -> None:
    event = submitted()
    await world.apply("documents.interactive", event)
    following = asyncio.create_task(world.get(f"/rag/task/{event.task_id}/events"))
    await asyncio.sleep(0.15)
    await world.apply("task.progress", progressed(event, Stage.PARSING))
    await asyncio.sleep(0.05)
    await world.apply("task.status", status_changed(event, TaskStatus.SUCCEEDED))
    answer = await following
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert states(answer.text) == ["queued", "running", "succeeded"]
    assert "\n:\n\n" in answer.text, "signs of life while nothing changes"


async def test_a_stream_of_an_ended_task_says_so_and_ends(world: World) -> None:
    event = submitted()
    await world.apply("task.status", status_changed(event, TaskStatus.EMPTY))
    answer = await world.get(f"/rag/task/{event.task_id}/events")
    assert states(answer.text) == ["empty"]


async def test_a_stream_never_shows_a_rebuild(world: World) -> None:
    event = submitted()
    await world.apply("task.progress", progressed(event, Stage.WRITING))
    await world.apply("documents.interactive", event)
    following = asyncio.create_task(world.get(f"/rag/task/{event.task_id}/events"))
    await asyncio.sleep(0.1)
    await world.catalogue.wipe("log-2")
    world.changes.tell_all()
    await world.apply("documents.interactive", event)
    await asyncio.sleep(0.1)
    await world.apply("task.status", status_changed(event, TaskStatus.SUCCEEDED))
    assert states((await following).text) == ["running", "succeeded"]


async def test_streams_are_bounded_in_number_and_time_and_end_at_a_stop(world: World) -> None:
    event = submitted()
    await world.apply("documents.interactive", event)
    path = f"/rag/task/{event.task_id}/events"
    streams = [asyncio.create_task(world.get(path)) for _ in range(3)]
    await asyncio.sleep(0.1)
    refused = await world.get(path)
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    world.changes.close()
    async with asyncio.timeout(1):
        answers = await asyncio.gather(*streams)
    assert [states(answer.text) for answer in answers] == [["queued"]] * 3
    stopping = await world.get(path)
    assert (stopping.status_code, stopping.json()["code"]) == (503, "shutting_down")


async def test_a_stream_ends_when_its_time_is_up(world: World) -> None:
    event = submitted()
    await world.apply("documents.interactive", event)
    async with asyncio.timeout(5):
        answer = await world.get(f"/rag/task/{event.task_id}/events")
    assert states(answer.text) == ["queued"]


# Documents.


async def test_a_document_is_accepted_then_indexed_and_stays_so_while_a_newer_one_is_made(
    world: World,
) -> None:
    first = submitted(cabinet=7, external_id="a.txt", version=1000)
    path = f"/rag/documents/{first.document_id}"
    world.log.pending.append(("documents.interactive", first))
    seen = (await world.get(path)).json()
    assert (seen["state"], seen["version"], seen["published"]) == ("accepted", 1000, None)
    assert seen["open_task"]["task_id"] == first.task_id

    case = Case(world.index, cabinet(7))
    await case.publish(1000)
    await world.apply("task.status", status_changed(first, TaskStatus.SUCCEEDED))
    seen = (await world.get(path, "seven")).json()
    assert (seen["state"], seen["published"]["chunks"], seen["open_task"]) == ("indexed", 3, None)

    second = submitted(cabinet=7, external_id="a.txt", version=2000)
    await world.apply("documents.interactive", second)
    seen = (await world.get(path, "seven")).json()
    assert (seen["state"], seen["version"]) == ("indexed", 2000)
    assert seen["published"]["version"] == 1000
    assert seen["open_task"]["version"] == 2000


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.EMPTY, "empty"),
        (Outcome.FAILED, "failed"),
        (Outcome.DELETED, "deleted"),
    ],
)
async def test_a_documents_state_follows_the_decision(
    world: World, outcome: Outcome, state: str
) -> None:
    case = Case(world.index, cabinet(7))
    await world.index.decide(cabinet(7), case.decision(1000, outcome=outcome))
    seen = (await world.get(f"/rag/documents/{case.document_id}", "seven")).json()
    assert seen["state"] == state
    assert (seen["error"] is not None) is (state == "failed")
    again = submitted(cabinet=7, external_id="a.txt", version=2000)
    await world.apply("documents.interactive", again)
    seen = (await world.get(f"/rag/documents/{case.document_id}", "seven")).json()
    assert seen["state"] == "accepted"


async def test_documents_are_listed_page_by_page_decided_and_waiting_alike(world: World) -> None:
    names = [f"d{n}" for n in range(12)]
    cases = [Case(world.index, cabinet(7), name) for name in names[:7]]
    for n, case in enumerate(cases):
        outcome = Outcome.FAILED if n % 3 == 0 else Outcome.EMPTY
        await world.index.decide(cabinet(7), case.decision(1000, outcome=outcome))
    await Case(world.index, cabinet(8), "foreign").publish(1000)
    # d5 and d6 are being made anew, d7 to d11 were never decided.
    waiting = [submitted(cabinet=7, external_id=name, version=2000) for name in names[5:]]
    await world.apply("documents.interactive", *waiting, submitted(cabinet=8))

    async def listed(**query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            answer = await world.get("/rag/cabinets/7/documents", "seven", limit=3, **query)
            page = answer.json()
            found += page["documents"]
            if page["next_cursor"] is None:
                return found
            query["cursor"] = page["next_cursor"]

    everything = await listed()
    ids = [document["document_id"] for document in everything]
    assert ids == sorted(set(ids))
    assert {document["external_id"] for document in everything} == set(names)
    accepted = await listed(state="accepted")
    assert {document["external_id"] for document in accepted} == set(names[5:])
    failed = await listed(state="failed")
    assert {document["external_id"] for document in failed} == {"d0", "d3"}
    assert await listed(state="indexed") == []


async def test_a_foreign_cabinet_lists_nothing(world: World) -> None:
    assert (await world.get("/rag/cabinets/8/documents", "seven")).status_code == 403
    assert (await world.get("/rag/cabinets/x/documents", "seven")).status_code == 422
    bad = await world.get("/rag/cabinets/7/documents", "seven", cursor="zzz")
    assert bad.status_code == 422


# Search.


async def test_a_search_answers_with_hits_of_its_cabinet_only(world: World) -> None:
    await Case(world.index, cabinet(7), "mine").publish(1000)
    await Case(world.index, cabinet(8), "theirs").publish(1000)
    answer = await world.search({"cabinet_id": 7, "query": "zero", "top_k": 2}, "seven")
    assert answer.status_code == 200
    hits = answer.json()["hits"]
    assert hits[0]["text"] == "mine 1000.0 #0"
    assert {hit["external_id"] for hit in hits} == {"mine"}
    assert set(hits[0]) == {
        "text",
        "score",
        "document_id",
        "external_id",
        "filename",
        "version",
        "page",
        "start",
        "end",
        "metadata",
    }
    foreign = await world.search({"cabinet_id": 8, "query": "zero"}, "seven")
    assert foreign.status_code == 403


async def test_a_search_is_narrowed_by_document_name_metadata_and_score(world: World) -> None:
    one, two = (Case(world.index, cabinet(7), name) for name in ("one", "two"))
    await one.publish(1000, metadata={"language": "en"})
    await two.publish(1000, metadata={"language": "ru"})

    async def found(**body: Any) -> set[str]:
        answer = await world.search({"cabinet_id": 7, "query": "zero", **body})
        assert answer.status_code == 200, answer.text
        return {hit["external_id"] for hit in answer.json()["hits"]}

    assert await found() == {"one", "two"}
    assert await found(filter={"document_id": one.document_id.upper()}) == {"one"}
    assert await found(filter={"external_ids": ["two"]}) == {"two"}
    assert await found(filter={"metadata": {"language": ["ru", "de"]}}) == {"two"}
    assert await found(filter={"external_id": "two", "metadata": {"language": "en"}}) == set()
    answer = await world.search({"cabinet_id": 7, "query": "zero", "score_threshold": 0.9})
    assert {hit["start"] for hit in answer.json()["hits"]} == {0}


@pytest.mark.parametrize(
    "change",
    [
        {"cabinet_id": 0},
        {"cabinet_id": None},
        {"query": " "},
        {"query": "ä" * 5000},
        {"top_k": 0},
        {"top_k": 101},
        {"score_threshold": 2},
        {"top-k": 5},
        {"filter": {"cabinet_id": 8}},
        {"filter": {"document_id": "x"}},
        {"filter": {"metadata": {"a": {"b": 1}}}},
        {"filter": {"document_ids": [_UNKNOWN] * 101}},
    ],
    ids=str,
)
async def test_a_search_refuses_what_it_does_not_know(world: World, change: dict[str, Any]) -> None:
    answer = await world.search({"cabinet_id": 7, "query": "x", **change})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "body", [b'{"cabinet_id":7,"query":"\\ud800"}', b"[]", b"{", b'{"cabinet_id":7,"query":"\xff"}']
)
async def test_a_search_survives_bytes_that_are_no_request(world: World, body: bytes) -> None:
    answer = await world.client.post(
        "/rag/search",
        content=body,
        headers={"X-API-Key": "all", "Content-Type": "application/json"},
    )
    assert answer.status_code == 422


async def test_a_search_without_an_embedder_says_so(world: World) -> None:
    world.embedder.is_away = True
    answer = await world.search({"cabinet_id": 7, "query": "x"})
    assert (answer.status_code, answer.json()["code"]) == (503, "embeddings_unavailable")
    assert "Retry-After" in answer.headers


async def test_searching_takes_its_own_scope(world: World) -> None:
    world.keys.add("reader", 7, scopes=[Scope.READ])
    assert (await world.search({"cabinet_id": 7, "query": "x"}, "reader")).status_code == 403


async def test_an_unused_task_id_is_no_end_of_a_stream(world: World) -> None:
    answer = await world.get(f"/rag/task/{new_task_id()}/events")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
