"""The use case's world: the real index in memory, a real folder, and a parser made of words."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import AsyncQdrantClient
from recorded_runs import RecordedRuns

from embedder.domain.job import Job, JobEvent, Lease, Origin, RawRecord
from embedder.domain.parsed import Chunk, Extraction, Parsed, Rejected, TokenIds
from embedder.ports import StageReport, Vectors
from embedder.usecases.cancel_task import CancelTask
from embedder.usecases.delete_cabinet import DeleteCabinet
from embedder.usecases.delete_document import DeleteDocument
from embedder.usecases.index_document import IndexDocument
from embedder.usecases.scratch import Scratch
from embedder.usecases.work import DoWork
from kartoteka_contracts.access import grant
from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import DocumentError, KartotekaError, UnavailableError
from kartoteka_contracts.events import DocumentDeletionRequested, DocumentSubmitted
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.keys import cancel_key, record_key
from kartoteka_contracts.records import DocumentRecord, encode_record
from kartoteka_contracts.tasks import Stage
from kartoteka_index.client import QdrantSettings
from kartoteka_index.index import Index
from kartoteka_index.manifest import Manifest
from kartoteka_index.model import ModelIdentity
from kartoteka_index.search import Hit, SearchQuery
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_runtime.producer import Delivered
from kartoteka_testkit import builders

DIMENSION = 8
CABINET = grant(CabinetId(7))


class WordExtractor:
    """One chunk a line. A body of ``!code`` is rejected with it, ``?code`` fails with it."""

    def __init__(self) -> None:
        self.fingerprint = "words-1"
        self.calls = 0

    async def extract(
        self,
        body: Path,
        *,
        media_type: str,
        filename: str,
        report: StageReport,
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> Extraction:
        del media_type, filename
        if begin is not None:
            await begin()
        self.calls += 1
        report(Stage.PARSING, 0.1)
        await asyncio.sleep(0)
        text = await asyncio.to_thread(body.read_text, "utf-8")
        if text.startswith("!"):
            return Rejected(code=text[1:], message="the verdict of a test")
        if text.startswith("?"):
            raise DocumentError(text[1:])
        chunks: list[Chunk] = []
        start = 0
        for line in text.splitlines():
            tokens = np.array([hash(word) % 1000 for word in line.split()], dtype=np.int32)
            chunks.append(
                Chunk(
                    n=len(chunks),
                    text=line,
                    start=start,
                    end=start + len(line),
                    page=None,
                    tokens=tokens,
                )
            )
            start += len(line) + 1
        return Parsed(
            chunks=tuple(chunks), characters=len(text), parser="words", seconds={"parsing": 0.1}
        )


class TokenEmbedder:
    """A vector for each set of tokens."""

    name = "tokens"
    dimension = DIMENSION

    def __init__(self) -> None:
        self.rows = 0

    async def embed_passages(self, passages: Sequence[TokenIds]) -> Vectors:
        await asyncio.sleep(0)
        self.rows += len(passages)
        vectors = np.full((len(passages), DIMENSION), 0.1, dtype=np.float32)
        for row, tokens in zip(vectors, passages, strict=True):
            np.add.at(row, tokens % DIMENSION, 1.0)
        norms: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / norms

    async def embed_queries(self, queries: Sequence[str]) -> Vectors:
        raise AssertionError(queries)


@dataclass
class RecordingLog:
    """Keeps what was sent, in order."""

    sent: list[tuple[str, str, bytes, tuple[tuple[str, bytes], ...]]] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)

    async def send(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Delivered:
        await asyncio.sleep(0)
        self.sent.append((topic, key, value, tuple(headers)))
        return Delivered(topic=topic, partition=0, offset=len(self.sent))

    def post(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        del topic, key, headers
        self.posted.append(value)

    def on(self, topic: str) -> list[bytes]:
        """Return the values sent to a topic."""
        return [value for name, _, value, _ in self.sent if name == topic]


class Crash(BaseException):
    """The process ends here."""


class Interrupted:
    """Passes calls on to a port, and does something around the n-th of all, counted together."""

    def __init__(self, port: Any, countdown: "Countdown") -> None:
        self._port = port
        self._countdown = countdown

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._port, name)
        if not asyncio.iscoroutinefunction(target):
            return target

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._countdown.tick(f"before {name}")
            result = await target(*args, **kwargs)
            await self._countdown.tick(f"after {name}")
            return result

        return call


async def crash() -> None:
    """End the process."""
    raise Crash


@dataclass
class Countdown:
    """Does something once, at tick number ``left``."""

    left: int
    happen: Callable[[], Awaitable[None]] = crash
    happened_at: str | None = None

    async def tick(self, place: str) -> None:
        self.left -= 1
        if self.left == 0:
            self.happened_at = place
            await self.happen()

    def around(self, port: Any) -> Any:
        """Return a port whose calls count."""
        return Interrupted(port, self)


class World:
    """Everything that indexing one document touches."""

    def __init__(self, folder: Path) -> None:
        self.index = Index(
            AsyncQdrantClient(":memory:"),
            QdrantSettings(url="http://127.0.0.1:1"),
            ModelIdentity(name="tokens", dimension=DIMENSION),
        )
        self.objects = ObjectStore.open(ObjectStoreSettings(url=f"file://{folder}/objects"))
        self.extractor = WordExtractor()
        self.embedder = TokenEmbedder()
        self.log = RecordingLog()
        self.scratch = Scratch(size=2 << 20, bodies=8)
        self.runs = RecordedRuns()

    def usecase(self, around: Callable[[Any], Any] = lambda port: port) -> IndexDocument:
        """Return the use case, each of its ports wrapped."""
        return IndexDocument(
            bodies=around(self.objects),
            extractor=around(self.extractor),
            embedder=around(self.embedder),
            index=around(self.index),
            clock=SystemClock(),
            scratch=self.scratch,
        )

    def work(self, around: Callable[[Any], Any] = lambda port: port) -> DoWork:
        """Return all use cases, each of their ports wrapped."""
        stores: dict[str, Any] = {
            "index": around(self.index),
            "bodies": around(self.objects),
            "clock": SystemClock(),
        }
        return DoWork(
            index_document=self.usecase(around),
            delete_document=DeleteDocument(**stores),
            delete_cabinet=DeleteCabinet(**stores),
            cancel_task=CancelTask(**stores),
            reindex=self.runs,
        )

    async def accept(self, text: str, *, version: int, **fields: Any) -> Job:
        """Store a body and its record as ingest-api does; return the delivered job."""
        record: DocumentRecord = builders.record(version=version, body=text.encode(), **fields)

        async def body() -> Any:
            yield text.encode()

        await self.objects.write(record.body_key, body())
        key = record_key(record.cabinet_id, record.document_id, record.version)
        await self.objects.create(key, record.model_dump_json().encode())
        return delivered(DocumentSubmitted.of(record))

    async def accept_delete(self, *, version: int, **fields: Any) -> Job:
        """Store the record of a delete as ingest-api does; return the delivered job."""
        record = builders.deletion_record(version=version, **fields)
        key = record_key(record.cabinet_id, record.document_id, record.version)
        await self.objects.create(key, encode_record(record))
        return delivered(DocumentDeletionRequested.of(record))

    async def accept_cancel(self, job: Job) -> Job:
        """Mark a job's task as cancelled, as ingest-api does; return the delivered cancellation."""
        event = job.submission
        await self.objects.create(
            cancel_key(event.cabinet_id, event.document_id, event.version, event.task_id), b""
        )
        return delivered(builders.cancellation(event))

    async def run(
        self,
        job: Job,
        around: Callable[[Any], Any] = lambda port: port,
        *,
        lease: Lease | None = None,
    ) -> Any:
        """Do a job's work once."""
        return await self.work(around).run(job, lease or Lease(), lambda _stage, _share: None)

    async def settle(self, job: Job, around: Callable[[Any], Any] = lambda port: port) -> Any:
        """Do a job's work as often as a store is away meanwhile; give up what fails."""
        for _ in range(9):
            with suppress(UnavailableError):
                try:
                    return await self.run(job, around)
                except UnavailableError:
                    raise
                except KartotekaError as error:
                    return await self.work(around).give_up(job, error.code, error.message, "")
        raise AssertionError("it never ends")

    async def snapshot(self) -> dict[str, Any]:
        """Return all that is stored, without times and tries."""
        points, manifests = {}, {}
        for record in await self._all(self.index._chunks):
            payload = record.payload or {}
            points[str(record.id)] = (payload["version"], payload["epoch"], payload["text"])
        for record in await self._all(self.index._documents):
            payload = dict(record.payload or {})
            payload.pop("decided_at", None)
            payload["published"] = (payload.get("published") or {}) | {"published_at": None}
            manifests[str(record.id)] = payload
        return {
            "points": points,
            "manifests": manifests,
            "objects": await self.objects.keys("cabinets/"),
        }

    async def _all(self, collection: str) -> list[Any]:
        records, _ = await self.index._client.scroll(collection, limit=10_000)
        return records

    async def assert_whole(self) -> None:
        """Check that each document has the chunks that it publishes, and no others."""
        stored: dict[str, set[tuple[int, int, int]]] = {}
        for record in await self._all(self.index._chunks):
            payload = record.payload or {}
            own = stored.setdefault(payload["document_id"], set())
            own.add((payload["version"], payload["epoch"], payload["n"]))
        for record in await self._all(self.index._documents):
            payload = record.payload or {}
            own = stored.pop(payload["document_id"], set())
            published = payload.get("published") or {"version": 0, "epoch": 0, "chunks": 0}
            work = (published["version"], published["epoch"])
            assert own == {(*work, n) for n in range(published["chunks"])}
        assert stored == {}

    async def manifest(self, job: Job) -> Manifest:
        """Return what stands about a job's document."""
        document = job.document_id
        assert document is not None
        found = await self.index.manifest(CABINET, document)
        assert found is not None
        return found

    async def hits(self) -> list[Hit]:
        """Return everything that a search can find."""
        vector = np.full(DIMENSION, DIMENSION**-0.5, dtype=np.float32)
        return await self.index.search(CABINET, SearchQuery(vector=vector, top_k=100))

    async def texts(self) -> list[str]:
        """Return the text of everything that a search can find."""
        return sorted(hit.text for hit in await self.hits())

    async def stored(self, *jobs: Job) -> int:
        """Return how many points these jobs have in the index, searchable or not."""
        return sum(
            [
                await self.index.count(
                    CABINET,
                    job.submission.document_id,
                    job.submission.version,
                    job.submission.epoch,
                )
                for job in jobs
            ]
        )


def delivered(event: JobEvent, envelope: Envelope | None = None, offset: int = 0) -> Job:
    """Return an event as the dispatcher hands it on."""
    envelope = envelope or Envelope(event_id=event.task_id)
    record = RawRecord(
        origin=Origin(topic="documents.interactive", partition=0, offset=offset),
        key=event.key.encode(),
        value=encode(event),
        headers=tuple(envelope.to_headers()),
    )
    return Job(record=record, event=event, envelope=envelope)
