"""Replicas of the upload routes over one store, any of which can stop dead between two calls."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ingest_api.adapters.records import ObjectArchive
from ingest_api.domain.access import Principal, Scope
from ingest_api.domain.admission import UploadGate
from ingest_api.domain.idempotency import Claim
from ingest_api.domain.submission import UploadLimits
from ingest_api.entrypoints.http import uploads
from ingest_api.entrypoints.http.app import Edge, create_app
from ingest_api.entrypoints.http.receive_deadline import ReceivePolicy
from ingest_api.telemetry import Telemetry
from ingest_api.usecases.submit import Submit
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import CabinetId, DocumentId, TaskId, Version
from kartoteka_contracts.records import DocumentRecord, Record, read_record
from kartoteka_runtime.clock import Clock, SystemClock
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_testkit.recording_log import Appended, RecordingLog

__all__ = ["Halt", "Replica", "Shared", "accepted", "shared"]

JOBS = "documents.interactive"


class Halt:
    """Lets a replica make so many calls to the world, and no more.

    It stops as a killed process does: no handler of its runs, nothing is cleaned up. It may be
    made to go on, as a process does that was only suspended.
    """

    def __init__(self, after: int | None = None) -> None:
        self._after = after
        self.calls = 0
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def call(self) -> None:
        if self.calls == self._after:
            self.reached.set()
            await self.go_on.wait()
        self.calls += 1


class HaltingArchive(ObjectArchive):
    """The archive of a replica that may halt before any call."""

    def __init__(self, objects: ObjectStore, halt: Halt) -> None:
        super().__init__(objects)
        self._halt = halt
        self.bodies_written = 0

    async def write_body(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        await self._halt.call()
        self.bodies_written += 1
        return await super().write_body(key, chunks)

    async def discard_bodies(self, keys: Sequence[str]) -> None:
        await self._halt.call()
        await super().discard_bodies(keys)

    async def newest_version(self, cabinet: CabinetId, document: DocumentId) -> Version | None:
        await self._halt.call()
        return await super().newest_version(cabinet, document)

    async def create_record(self, record: Record) -> bool:
        await self._halt.call()
        return await super().create_record(record)

    async def task_at(
        self, cabinet: CabinetId, document: DocumentId, version: Version
    ) -> TaskId | None:
        await self._halt.call()
        return await super().task_at(cabinet, document, version)

    async def claim(self, key: str) -> Claim | None:
        await self._halt.call()
        return await super().claim(key)

    async def create_claim(self, key: str, claim: Claim) -> bool:
        await self._halt.call()
        return await super().create_claim(key, claim)


class HaltingLog(RecordingLog):
    """The event log of a replica that may halt before any send."""

    def __init__(self, halt: Halt) -> None:
        super().__init__()
        self._halt = halt

    async def send(
        self,
        topic: str,
        *,
        key: str,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Appended:
        await self._halt.call()
        return await super().send(topic, key=key, value=value, headers=headers)


class _Keys:
    """Two keys that are their own tokens, for every cabinet."""

    def find(self, token: str) -> Principal | None:
        if token not in {"one", "two"}:
            return None
        return Principal(key_id=token, name=token, scopes=frozenset(Scope), cabinets=None)


@dataclass(kw_only=True)
class Replica:
    """One API process, as far as uploads go."""

    archive: HaltingArchive
    log: HaltingLog
    halt: Halt
    client: httpx.AsyncClient

    async def upload(
        self,
        content: bytes = b"hello",
        *,
        name: str = "a.txt",
        key: str | None = "key-1",
        api_key: str = "one",
        **fields: str,
    ) -> httpx.Response:
        headers = {"X-API-Key": api_key} | ({} if key is None else {"Idempotency-Key": key})
        return await self.client.post(
            "/rag/add-document",
            data={"cabinet_id": "1", **fields},
            files={"file": (name, content)},
            headers=headers,
        )

    async def upload_batch(self, *named: tuple[str, bytes], key: str = "key-1") -> httpx.Response:
        return await self.client.post(
            "/rag/add-documents-batch",
            data={"cabinet_id": "1"},
            files=[("files", one) for one in named],
            headers={"X-API-Key": "one", "Idempotency-Key": key},
        )

    @property
    def bodies_written(self) -> int:
        """How many bodies it began to store."""
        return self.archive.bodies_written

    @property
    def published(self) -> list[DocumentSubmitted]:
        """The uploads that it sent."""
        events = [record.event for record in self.log.on(JOBS)]
        return [event for event in events if isinstance(event, DocumentSubmitted)]


@dataclass(kw_only=True)
class Shared:
    """One object store, and whatever replicas a test starts on it."""

    objects: ObjectStore
    clock: Clock
    replicas: list[Replica] = field(default_factory=list)

    def replica(self, *, halt_after: int | None = None) -> Replica:
        halt = Halt(halt_after)
        archive, log = HaltingArchive(self.objects, halt), HaltingLog(halt)
        telemetry = Telemetry(Metrics())
        intake = uploads.Intake(
            submit=Submit(archive=archive, log=log, clock=self.clock),
            claims=archive,
            gate=UploadGate(uploads=100, announced_bytes=10**9),
            limits=UploadLimits(file_bytes=100_000, request_bytes=1_000_000, files=20),
            telemetry=telemetry,
        )
        receive = ReceivePolicy(
            timeout=60,
            min_rate=1,
            slack=60,
            max_bytes=1000,
            larger={uploads.SINGLE_PATH: 2_000_000, uploads.BATCH_PATH: 2_000_000},
        )
        edge = Edge(keys=_Keys(), telemetry=telemetry, clock=SystemClock(), receive=receive)
        transport = httpx.ASGITransport(app=create_app(edge, uploads.router(intake)))
        client = httpx.AsyncClient(transport=transport, base_url="http://test")
        one = Replica(archive=archive, log=log, halt=halt, client=client)
        self.replicas.append(one)
        return one

    async def records(self) -> list[DocumentRecord]:
        """Every record of an upload."""
        found = [
            read_record(await self.objects.read(key))
            for key in await self.objects.keys("cabinets/1/records/")
        ]
        return [one for one in found if isinstance(one, DocumentRecord)]

    async def bodies(self) -> set[str]:
        """The keys of all bodies."""
        return set(await self.objects.keys("cabinets/1/bodies/"))


@asynccontextmanager
async def shared(folder: Path, clock: Clock | None = None) -> AsyncIterator[Shared]:
    """Give a store in a folder; the replicas' clients are closed at the end."""
    objects = ObjectStore.open(ObjectStoreSettings(url=f"file://{folder}/objects"))
    world = Shared(objects=objects, clock=clock or SystemClock())
    yield world
    for one in world.replicas:
        await one.client.aclose()


def accepted(answer: httpx.Response) -> dict[str, Any]:
    """What a 202 says."""
    assert answer.status_code == 202, answer.text
    return dict(answer.json())
