"""The composition root: settings in, a worker out. The only place where parts meet."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from aiohttp import web

from embedder.adapters.extractor_pool import ExtractorPool
from embedder.adapters.faust_log import FaustLog, GroupOptions
from embedder.adapters.inference.assembly import PreparedModel, open_engine, prepare
from embedder.adapters.inference.engine import Engine
from embedder.adapters.inference.exported_model import ExportedModelError
from embedder.adapters.inference.meter import PrometheusInferenceMeter
from embedder.adapters.job_backlog import JobBacklog
from embedder.adapters.source_store import OutsideSources
from embedder.domain.admission import Limits
from embedder.domain.flood import FloodLimit
from embedder.domain.retry import RetryPolicy
from embedder.entrypoints.crew import Crew, Gate, Part
from embedder.entrypoints.dispatcher import Dispatcher
from embedder.entrypoints.embeddings_http import EmbeddingsHttp
from embedder.entrypoints.liveness import Trouble, no_trouble
from embedder.entrypoints.plans_http import PlansHttp
from embedder.entrypoints.traced_jobs import TracedJobs
from embedder.entrypoints.worker import Worker
from embedder.entrypoints.worker_settings import WorkerSettings
from embedder.ports import EventLog, JobHandler
from embedder.settings import Settings
from embedder.telemetry import Pulse, PulsingLog, StoreMetrics, TracedLog
from embedder.usecases.cancel_task import CancelTask
from embedder.usecases.delete_cabinet import DeleteCabinet
from embedder.usecases.delete_document import DeleteDocument
from embedder.usecases.index_document import IndexDocument
from embedder.usecases.outages import Dependency, Outages
from embedder.usecases.reindex_runs import ReindexRuns
from embedder.usecases.scratch import Scratch
from embedder.usecases.settle import SettleJobs
from embedder.usecases.work import DoWork
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.topics import TOPICS, Service
from kartoteka_index.index import Index
from kartoteka_index.model import ModelIdentity
from kartoteka_runtime import topics_admin, topics_gate
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.health import Health
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metrics import Metrics, process_registry
from kartoteka_runtime.object_listing import ListingStore
from kartoteka_runtime.producer import Producer
from kartoteka_runtime.producer_metrics import ProducerMetrics
from kartoteka_runtime.tracing import open_tracer

__all__ = ["build", "crew"]

_log = get_logger(__name__)

_ROLES: Final = frozenset({Service.EMBEDDER, Service.PLANNER})
"""The planner of reindex runs is a part of the worker."""
_OUR_TOPICS: Final = {
    name: topic for name, topic in TOPICS.items() if _ROLES & (topic.producers | topic.consumers)
}
_BODIES_PER_PARSER: Final = 4
_LEAST_BODIES: Final = 8
_MODEL_PAUSE: Final = Backoff(base=5.0, limit=60.0)


def build(settings: Settings) -> Worker:
    """Return the worker. Nothing is read, started or connected yet."""
    health, metrics = Health(), Metrics(process_registry())
    return Worker(
        lambda: _hire(settings, health, metrics),
        health=health,
        metrics=metrics,
        http=settings.http,
        limits=settings.worker,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stores:
    """What lies outside of the process."""

    objects: ListingStore
    index: Index
    producer: Producer
    backlog: JobBacklog
    scratch: Scratch
    figures: StoreMetrics

    @classmethod
    def open(cls, settings: Settings, model: PreparedModel, metrics: Metrics) -> Self:
        spec, figures = model.spec, StoreMetrics(metrics)
        return cls(
            objects=ListingStore.open(settings.objects),
            index=Index.open(
                settings.qdrant, ModelIdentity(name=spec.name, dimension=spec.dimension)
            ),
            producer=Producer(
                settings.kafka,
                settings.producer,
                client_id="embedder",
                metrics=ProducerMetrics.define(metrics),
            ),
            backlog=JobBacklog(settings.kafka, group=settings.worker.group),
            scratch=_scratch(settings, figures),
            figures=figures,
        )

    async def check_log(self) -> None:
        """Raise UnavailableError while events cannot be sent."""
        if self.producer.trouble is not None:
            raise UnavailableError("event_log_unavailable", self.producer.trouble)

    def dependencies(self) -> tuple[Dependency, ...]:
        """Return what may be away, and how to ask it."""
        return (
            Dependency(name="index", code="index_unavailable", probe=self.index.ping),
            Dependency(
                name="object_store", code="object_store_unavailable", probe=self.objects.probe
            ),
            Dependency(name="event_log", code="event_log_unavailable", probe=self.check_log),
            Dependency(name="scratch", code="scratch_full", probe=self.scratch.probe),
        )


def _scratch(settings: Settings, figures: StoreMetrics) -> Scratch:
    # Parsers never wait for a fetch, and interactive work waits behind few other bodies.
    bodies = max(_LEAST_BODIES, _BODIES_PER_PARSER * settings.parser.children)
    scratch = Scratch(size=settings.worker.scratch_bytes, bodies=bodies)
    figures.watch(lambda: scratch.held)
    return scratch


async def _hire(settings: Settings, health: Health, metrics: Metrics) -> Crew:
    model = await _prepared_model(settings, health)
    stores = _Stores.open(settings, model, metrics)
    extractor = ExtractorPool(
        settings.parser,
        tokenizer=model.tokenizer,
        policy=settings.chunk.policy(model.spec.passage_room),
        metrics=metrics,
    )
    hired: Crew | None = None
    engine = open_engine(
        model,
        meter=PrometheusInferenceMeter(metrics),
        expecting=lambda: hired is not None and hired.dispatcher.running > 1,
    )
    health.watch("inference", engine.trouble)
    pulse = Pulse()
    outages = Outages(stores.dependencies(), metrics=metrics)
    log = PulsingLog(TracedLog(stores.producer), pulse)
    tracer = open_tracer(settings.tracing, service="embedder")
    runs = _runs(settings, stores, extractor, log, pulse=pulse, metrics=metrics)
    hired = crew(
        TracedJobs(
            SettleJobs(
                work=_work(stores, extractor, engine, runs, metrics),
                log=log,
                policy=RetryPolicy(
                    retries=settings.retry.max,
                    base_seconds=settings.retry.base_seconds,
                    jitter=settings.retry.jitter,
                ),
                clock=SystemClock(),
                outages=outages,
                flood=FloodLimit(in_a_row=settings.worker.max_dead_letters_in_a_row),
                metrics=metrics,
            ),
            tracer,
        ),
        kafka=settings.kafka,
        worker=settings.worker,
        metrics=metrics,
        pulse=pulse,
        gates=(
            Gate(name=topics_gate.HOLD, check=lambda: _check_topics(settings.kafka)),
            Gate(name="objects", check=stores.objects.probe),
            Gate(name="index", check=stores.index.ensure),
            Gate(name="model", check=engine.wait_loaded),
        ),
        parts=(
            Part(stop=tracer.close),
            Part(stop=stores.index.close),
            Part(stop=stores.backlog.stop),
            Part(start=stores.producer.start, stop=stores.producer.stop),
            Part(start=extractor.start, stop=extractor.stop),
            Part(start=engine.start, stop=engine.close),
            Part(stop=outages.stop),
        ),
        background=(lambda: topics_gate.keep_checked(health, settings.kafka, topics=_OUR_TOPICS),),
        routes=[*EmbeddingsHttp(engine).routes(), *PlansHttp(runs).routes()],
        trouble=outages.ask_all,
    )
    outages.guard(hired.dispatcher)
    return hired


def _runs(
    settings: Settings,
    stores: _Stores,
    extractor: ExtractorPool,
    log: EventLog,
    *,
    pulse: Pulse,
    metrics: Metrics,
) -> ReindexRuns:
    return ReindexRuns(
        archive=stores.objects,
        index=stores.index,
        sources=OutsideSources(settings.source, stores.objects, read=stores.figures.read),
        extractor=extractor,
        log=log,
        backlog=stores.backlog,
        clock=SystemClock(),
        beat=pulse.beat,
        max_bulk_lag=settings.planner.max_bulk_lag,
        max_objects=settings.source.max_objects,
        metrics=metrics,
    )


def _work(
    stores: _Stores,
    extractor: ExtractorPool,
    engine: Engine,
    runs: ReindexRuns,
    metrics: Metrics,
) -> DoWork:
    index, bodies, clock = stores.index, stores.objects, SystemClock()
    return DoWork(
        index_document=IndexDocument(
            bodies=bodies,
            extractor=extractor,
            embedder=engine,
            index=index,
            clock=clock,
            scratch=stores.scratch,
            metrics=metrics,
        ),
        delete_document=DeleteDocument(index=index, bodies=bodies, clock=clock),
        delete_cabinet=DeleteCabinet(index=index, bodies=bodies, clock=clock),
        cancel_task=CancelTask(index=index, bodies=bodies, clock=clock),
        reindex=runs,
    )


async def _prepared_model(settings: Settings, health: Health) -> PreparedModel:
    """Find or export the model; where that fails, say so and try again, since it may be mended."""
    attempt = 0
    while True:
        health.hold("model", f"{settings.model.name} is not ready yet")
        try:
            prepared = await asyncio.to_thread(prepare, settings.model)
        except ExportedModelError as error:
            _log.error("model_missing", reason=str(error), attempt=attempt)
            health.hold("model", str(error))
            await asyncio.sleep(_MODEL_PAUSE.delay(attempt))
            attempt += 1
        else:
            return prepared


async def _check_topics(kafka: KafkaSettings) -> None:
    faults = await topics_admin.check(kafka, _OUR_TOPICS)
    if faults:
        raise UnavailableError("event_log_unavailable", "; ".join(faults))


def crew(
    handler: JobHandler,
    *,
    kafka: KafkaSettings,
    worker: WorkerSettings,
    metrics: Metrics,
    pulse: Pulse | None = None,
    gates: Sequence[Gate] = (),
    parts: Sequence[Part] = (),
    routes: Sequence[web.RouteDef] = (),
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    trouble: Trouble = no_trouble,
) -> Crew:
    """Return the crew that runs ``handler`` for every job. Nothing is connected yet."""
    dispatcher = Dispatcher(handler, _limits(worker), pulse=pulse, metrics=metrics)
    return Crew(
        log=FaustLog(kafka, _group(worker), dispatcher),
        dispatcher=dispatcher,
        gates=gates,
        parts=parts,
        routes=routes,
        background=background,
        trouble=trouble,
    )


def _limits(settings: WorkerSettings) -> Limits:
    return Limits(
        interactive=settings.admit_interactive,
        bulk=settings.admit_bulk,
        retry=settings.admit_retry,
        reindex=settings.admit_reindex,
        running=settings.max_running,
        reserved=settings.reserved_interactive,
        planning=settings.max_planning,
        held=settings.max_held_retries,
        unacknowledged=settings.max_unacknowledged,
        unacknowledged_bytes=settings.max_unacknowledged_bytes,
    )


def _group(settings: WorkerSettings) -> GroupOptions:
    return GroupOptions(
        group=settings.group,
        session_timeout=settings.session_timeout_seconds,
        heartbeat_interval=settings.heartbeat_seconds,
        rebalance_timeout=settings.rebalance_timeout_seconds,
        commit_interval=settings.commit_interval_seconds,
        max_poll_records=settings.max_poll_records,
    )
