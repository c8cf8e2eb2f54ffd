"""The one place where the service is put together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from ingest_api.adapters.key_file import KeyFile
from ingest_api.adapters.records import ObjectArchive
from ingest_api.adapters.settings_archive import ObjectSettings
from ingest_api.dead_letters import DeadLetters
from ingest_api.domain.admission import UploadGate
from ingest_api.observing import Observing
from ingest_api.reading import Reading
from ingest_api.settings import Settings
from ingest_api.telemetry import Telemetry
from ingest_api.usecases.cancel import Cancel
from ingest_api.usecases.configure_cabinet import ConfigureCabinet
from ingest_api.usecases.delete import Delete
from ingest_api.usecases.job_events import JobEvents
from ingest_api.usecases.reindex import Reindex
from ingest_api.usecases.submit import Submit
from kartoteka_contracts.errors import KartotekaError
from kartoteka_contracts.topics import TOPICS, Topic
from kartoteka_contracts.topics import Service as Role
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.clock import Clock, SystemClock
from kartoteka_runtime.health import Health
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metrics import Metrics, process_registry
from kartoteka_runtime.objects import ObjectStore
from kartoteka_runtime.producer import Producer
from kartoteka_runtime.producer_metrics import ProducerMetrics
from kartoteka_runtime.topics_gate import keep_checked
from kartoteka_runtime.tracing import Tracer, open_tracer

__all__ = ["Service", "build"]

_LOG: Final = get_logger(__name__)
_ROLES: Final = frozenset({Role.INGEST_API, Role.VIEW})
_RETRY: Final = Backoff(base=0.5, limit=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The service, put together and running in the background; the edge serves it."""

    settings: Settings
    clock: Clock
    health: Health
    metrics: Metrics
    telemetry: Telemetry
    tracer: Tracer
    keys: KeyFile
    gate: UploadGate
    archive: ObjectArchive
    submit: Submit
    delete: Delete
    cancel: Cancel
    configure: ConfigureCabinet
    reindex: Reindex
    reading: Reading
    dead_letters: DeadLetters
    stopping: asyncio.Event
    """Set when the process is about to stop: long answers end then."""


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Service]:
    """Put the service together and keep its background work going until the block ends.

    Needs nothing to be there yet: what is away is a reason not to be ready, tried again until it
    is back. A background task that dies ends the block with its error.

    Raises:
        KartotekaError: the object store's settings cannot be used at all.
        OSError: a TLS file of Kafka's settings cannot be read.
    """
    clock, health = SystemClock(), Health()
    metrics = Metrics(process_registry())
    objects = ObjectStore.open(settings.objects)
    producer = Producer(
        settings.kafka,
        settings.producer,
        client_id="ingest-api",
        clock=clock,
        metrics=ProducerMetrics.define(metrics),
    )
    keys = KeyFile(settings.api.keys_file, on_change=_holding(health, "api_keys"))
    telemetry = Telemetry(metrics)
    gate = UploadGate(
        uploads=settings.upload.max_in_flight,
        announced_bytes=settings.upload.max_in_flight_bytes,
    )
    telemetry.uploads_in_flight.set_function(lambda: gate.uploads)
    keys.refresh()
    stopping = asyncio.Event()
    reading = Reading.build(
        settings, log=producer, objects=objects, clock=clock, health=health, metrics=metrics
    )
    observing = Observing.build(settings, reading=reading, objects=objects, metrics=metrics)
    archive, jobs = ObjectArchive(objects), JobEvents(producer)
    configure = ConfigureCabinet(
        archive=ObjectSettings(objects), policy=settings.sources, jobs=jobs, clock=clock
    )
    service = Service(
        settings=settings,
        clock=clock,
        health=health,
        metrics=metrics,
        telemetry=telemetry,
        tracer=open_tracer(settings.tracing, service="ingest-api"),
        keys=keys,
        gate=gate,
        archive=archive,
        submit=Submit(archive=archive, log=producer, clock=clock),
        delete=Delete(
            documents=reading.documents,
            archive=archive,
            removals=archive,
            configure=configure,
            jobs=jobs,
            clock=clock,
        ),
        cancel=Cancel(
            tasks=reading.tasks, index=reading.index, removals=archive, jobs=jobs, clock=clock
        ),
        configure=configure,
        reindex=Reindex(cabinets=reading.cabinets, planner=reading.planner, jobs=jobs, clock=clock),
        reading=reading,
        dead_letters=DeadLetters.build(settings.kafka, reading, log=producer, clock=clock),
        stopping=stopping,
    )
    await producer.start()
    try:
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(keys.watch(), name="keys"),
                group.create_task(_gate_objects(health, objects), name="objects"),
                group.create_task(_gate_producer(health, producer), name="producer"),
                group.create_task(
                    keep_checked(health, settings.kafka, topics=_own_topics()), name="topics"
                ),
                group.create_task(reading.run(), name="view"),
                group.create_task(observing.run(), name="observing"),
                group.create_task(reading.end_streams(stopping), name="streams"),
            ]
            yield service
            for task in background:
                task.cancel()
    finally:
        await observing.close()
        await reading.close()
        await producer.stop()
        await service.tracer.close()


def _holding(health: Health, name: str) -> Callable[[str | None], None]:
    def on_change(trouble: str | None) -> None:
        if trouble is None:
            health.clear(name)
        else:
            _LOG.warning("not_ready", hold=name, reason=trouble)
            health.hold(name, trouble)

    return on_change


def _own_topics() -> dict[str, Topic]:
    return {
        name: topic
        for name, topic in TOPICS.items()
        if _ROLES & (topic.producers | topic.consumers)
    }


async def _gate_objects(health: Health, objects: ObjectStore) -> None:
    """Hold readiness until the store has been probed once; later outages answer 503."""
    on_change = _holding(health, "object_store")
    health.hold("object_store", "not checked yet")
    attempt = 0
    while True:
        try:
            await objects.probe()
        except KartotekaError as error:
            on_change(error.message)
            await asyncio.sleep(_RETRY.delay(attempt))
            attempt += 1
        else:
            on_change(None)
            return


async def _gate_producer(health: Health, producer: Producer) -> None:
    """Hold readiness until uploads can be announced; later outages answer 503."""
    health.hold("producer", "not connected to Kafka yet")
    await producer.wait_connected()
    health.clear("producer")
