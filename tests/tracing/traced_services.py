"""ingest-api's application and a worker's jobs, with what lies between them in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from dispatching_world import LIMITS, Log
from indexing_world import WordExtractor, World
from opentelemetry.sdk.trace import ReadableSpan
from reading_world import Keys

from embedder.domain.admission import WORK_TOPICS
from embedder.domain.parsed import Extraction
from embedder.domain.retry import RetryPolicy
from embedder.entrypoints.dispatcher import Dispatcher
from embedder.entrypoints.traced_jobs import TracedJobs
from embedder.ports import StageReport
from embedder.telemetry import TracedLog
from embedder.usecases.outages import Outages
from embedder.usecases.settle import SettleJobs
from ingest_api.adapters.records import ObjectArchive
from ingest_api.adapters.settings_archive import ObjectSettings
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.adapters.task_changes import TaskChanges
from ingest_api.domain.admission import UploadGate
from ingest_api.domain.submission import UploadLimits
from ingest_api.entrypoints.http import removal_routes, uploads
from ingest_api.entrypoints.http.app import Edge, create_app
from ingest_api.entrypoints.http.receive_deadline import ReceivePolicy
from ingest_api.telemetry import Telemetry
from ingest_api.usecases.cancel import Cancel
from ingest_api.usecases.configure_cabinet import ConfigureCabinet
from ingest_api.usecases.delete import Delete
from ingest_api.usecases.job_events import JobEvents
from ingest_api.usecases.read_documents import ReadDocuments
from ingest_api.usecases.read_tasks import ReadTasks
from ingest_api.usecases.submit import Submit
from kartoteka_contracts.errors import DocumentError
from kartoteka_contracts.records import Record
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.source_settings import SourceSettings
from kartoteka_runtime.tracing import Tracer
from kartoteka_testkit.eventually import eventually
from kartoteka_testkit.recorded_spans import RecordedSpans
from kartoteka_testkit.recording_log import RecordingLog

_log = get_logger(__name__)


class TalkingArchive(ObjectArchive):
    """Says which record it writes."""

    async def create_record(self, record: Record) -> bool:
        await asyncio.sleep(0)
        _log.info("recorded", of=record.document_id, task=record.task_id)
        return await super().create_record(record)


class TalkingExtractor(WordExtractor):
    """Says what it reads, before and after it let others work; fails as often as told."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0

    async def extract(
        self,
        body: Path,
        *,
        media_type: str,
        filename: str,
        report: StageReport,
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> Extraction:
        _log.info("reading", of=filename)
        for _ in range(5):
            await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            if begin is not None:
                await begin()
            raise DocumentError("timeout")
        found = await super().extract(
            body, media_type=media_type, filename=filename, report=report, begin=begin
        )
        _log.info("reading", of=filename)
        return found


class _Current:
    """A view that nobody waits for."""

    async def catch_up(self) -> None:
        await asyncio.sleep(0)


@dataclass(kw_only=True)
class Services:
    """Both services, and all that they sent."""

    api: RecordedSpans
    worker: RecordedSpans
    client: httpx.AsyncClient
    sent: RecordingLog
    world: World
    extractor: TalkingExtractor
    log: Log
    delivered: int = 0
    taken: int = 0

    async def upload(self, name: str, text: str = "one\ntwo", **headers: str) -> dict[str, Any]:
        """POST one document that must be accepted."""
        answer = await self.client.post(
            "/rag/add-document",
            data={"cabinet_id": "7"},
            files={"file": (name, text.encode())},
            headers=headers,
        )
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def work(self) -> None:
        """Deliver every job that was sent, and those that follow, until all are acknowledged."""
        while self.taken < len(self.sent.appended):
            record = self.sent.appended[self.taken]
            self.taken += 1
            if record.topic in WORK_TOPICS and record.value is not None:
                self.delivered += 1
                await self.log.send_raw(record.value, topic=record.topic, headers=record.headers)
            if self.taken == len(self.sent.appended):
                await eventually(lambda: len(self.log.acknowledged) == self.delivered)

    def spans(self) -> list[ReadableSpan]:
        """Every span of both."""
        return [*self.api.all, *self.worker.all]

    def path(self, span: ReadableSpan) -> list[str]:
        """Return the names from the first span that either service knows down to this one."""
        names = [span.name]
        by_id = {one.context.span_id: one for one in self.spans()}
        while span.parent is not None and span.parent.span_id in by_id:
            span = by_id[span.parent.span_id]
            names.insert(0, span.name)
        return names


@asynccontextmanager
async def services(folder: Path, *, is_traced: bool = True) -> AsyncIterator[Services]:
    """Put both together."""
    world, sent, extractor = World(folder), RecordingLog(), TalkingExtractor()
    world.extractor = extractor
    await world.index.ensure()
    catalogue = SqliteCatalogue(folder, SystemClock())
    await catalogue.open()
    api, worker = RecordedSpans(), RecordedSpans()
    app = _application(world, sent, catalogue, api.tracer if is_traced else Tracer())
    settle = SettleJobs(
        work=world.work(),
        log=TracedLog(sent),  # type: ignore[arg-type] # it tells of the record, not of its place
        policy=RetryPolicy(retries=1, base_seconds=0.001),
        clock=SystemClock(),
        outages=Outages(),
    )
    dispatcher = Dispatcher(TracedJobs(settle, worker.tracer if is_traced else Tracer()), LIMITS)
    running = asyncio.create_task(dispatcher.run())
    log = Log(dispatcher)
    log.turn()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"X-API-Key": "all"}
    ) as client:
        yield Services(
            api=api,
            worker=worker,
            client=client,
            sent=sent,
            world=world,
            extractor=extractor,
            log=log,
        )
    await dispatcher.drain(1.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await catalogue.close()
    await world.index.close()


def _application(
    world: World, sent: RecordingLog, catalogue: SqliteCatalogue, tracer: Tracer
) -> Any:
    clock, telemetry, keys = SystemClock(), Telemetry(Metrics()), Keys()
    keys.add("all")
    archive, jobs = TalkingArchive(world.objects), JobEvents(sent)
    intake = uploads.Intake(
        submit=Submit(archive=archive, log=sent, clock=clock),
        claims=archive,
        gate=UploadGate(uploads=100, announced_bytes=10**9),
        limits=UploadLimits(file_bytes=100_000, request_bytes=1_000_000, files=20),
        telemetry=telemetry,
    )
    delete = Delete(
        documents=ReadDocuments(catalogue=catalogue, freshness=_Current(), index=world.index),
        archive=archive,
        removals=archive,
        configure=ConfigureCabinet(
            archive=ObjectSettings(world.objects), policy=SourceSettings(), jobs=jobs, clock=clock
        ),
        jobs=jobs,
        clock=clock,
    )
    tasks = ReadTasks(
        catalogue=catalogue,
        freshness=_Current(),
        changes=TaskChanges(limit=3),
        clock=clock,
        on_miss=lambda _: None,
        heartbeat=1.0,
        longest=1.0,
    )
    cancel = Cancel(tasks=tasks, index=world.index, removals=archive, jobs=jobs, clock=clock)
    larger = {uploads.SINGLE_PATH: 2_000_000, uploads.BATCH_PATH: 2_000_000}
    edge = Edge(
        keys=keys,
        telemetry=telemetry,
        clock=clock,
        receive=ReceivePolicy(timeout=60, min_rate=1, slack=60, max_bytes=1000, larger=larger),
        tracer=tracer,
    )
    return create_app(edge, uploads.router(intake), removal_routes.router(delete, cancel))
