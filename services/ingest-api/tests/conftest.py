"""The real application over an in-memory event log and a folder of objects."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from ingest_api.adapters.key_file import KeyFile, create_key
from ingest_api.adapters.records import ObjectArchive
from ingest_api.domain.access import Scope
from ingest_api.domain.admission import UploadGate
from ingest_api.domain.submission import UploadLimits
from ingest_api.entrypoints.http import health, uploads
from ingest_api.entrypoints.http.app import Edge, create_app
from ingest_api.entrypoints.http.receive_deadline import ReceivePolicy
from ingest_api.telemetry import Telemetry
from ingest_api.usecases.submit import Submit
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.records import DocumentRecord
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.health import Health
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_testkit.recording_log import RecordingLog

FILE_BYTES = 200_000
"""The limit of one file in these tests."""


@dataclass(kw_only=True)
class World:
    """The application, and what stands around it."""

    app: FastAPI
    edge: Edge
    log: RecordingLog
    objects: ObjectStore
    health: Health
    gate: UploadGate
    client: httpx.AsyncClient
    new_key: Callable[..., str]

    async def stored(self) -> dict[str, bytes]:
        """Every object there is."""
        return {key: await self.objects.read(key) for key in await self.objects.keys("cabinets/")}

    async def records(self) -> list[DocumentRecord]:
        """Every record there is, by key."""
        found = await self.stored()
        return [
            DocumentRecord.model_validate_json(value)
            for key, value in found.items()
            if "/records/" in key
        ]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """An application that takes uploads of up to FILE_BYTES, and a client with a good key."""
    keys_path = tmp_path / "keys.json"
    keys = KeyFile(keys_path, on_change=lambda _: None)

    def new_key(*scopes: Scope, cabinets: tuple[int, ...] | None = None) -> str:
        key = create_key(
            keys_path,
            name="test",
            scopes=scopes or tuple(Scope),
            cabinets=None if cabinets is None else [CabinetId(one) for one in cabinets],
            now=datetime(2026, 1, 1, tzinfo=UTC),
        )
        keys.refresh()
        return key.text

    log, clock, metrics, probes = RecordingLog(), SystemClock(), Metrics(), Health()
    objects = ObjectStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/objects"))
    telemetry = Telemetry(metrics)
    gate = UploadGate(uploads=8, announced_bytes=10_000_000)
    limits = UploadLimits(file_bytes=FILE_BYTES, request_bytes=3_000_000, files=20)
    archive = ObjectArchive(objects)
    intake = uploads.Intake(
        submit=Submit(archive=archive, log=log, clock=clock),
        claims=archive,
        gate=gate,
        limits=limits,
        telemetry=telemetry,
    )
    receive = ReceivePolicy(
        timeout=2,
        min_rate=1000,
        slack=1,
        max_bytes=1000,
        larger={uploads.SINGLE_PATH: 2_000_000, uploads.BATCH_PATH: 3_000_000},
    )
    edge = Edge(keys=keys, telemetry=telemetry, clock=clock, receive=receive)
    app = create_app(edge, uploads.router(intake), health.router(probes, metrics))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"X-API-Key": new_key()}
    ) as client:
        yield World(
            app=app,
            edge=edge,
            log=log,
            objects=objects,
            health=probes,
            gate=gate,
            client=client,
            new_key=new_key,
        )


@pytest.fixture
def upload() -> Callable[..., Any]:
    """POST one file as ordinary clients do."""

    async def send(
        world: World, name: str = "a.txt", content: bytes = b"hello", **fields: Any
    ) -> httpx.Response:
        data = {"cabinet_id": "1", **fields}
        return await world.client.post(
            "/rag/add-document", data=data, files={"file": (name, content)}
        )

    return send
