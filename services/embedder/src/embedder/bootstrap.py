"""The composition root: settings in, a worker out. The only place where parts meet."""

from collections.abc import Callable, Sequence

from aiohttp import web

from embedder.adapters.faust_log import FaustLog, GroupOptions
from embedder.domain.admission import Limits
from embedder.entrypoints.dispatcher import Dispatcher
from embedder.entrypoints.worker import Gate, Part, Worker
from embedder.ports import JobHandler
from embedder.settings import HttpSettings, WorkerSettings
from embedder.telemetry import Pulse
from kartoteka_runtime.health import Health
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.metrics import Metrics

__all__ = ["assemble"]


def assemble(
    handler: JobHandler,
    *,
    kafka: KafkaSettings,
    http: HttpSettings,
    worker: WorkerSettings,
    health: Health,
    metrics: Metrics,
    pulse: Pulse | None = None,
    gates: Sequence[Gate] = (),
    parts: Sequence[Part] = (),
    routes: Sequence[web.AbstractRouteDef] = (),
    trouble: Callable[[], str | None] = lambda: None,
) -> Worker:
    """Return a worker that runs ``handler`` for every job. Nothing is connected yet."""
    dispatcher = Dispatcher(handler, _limits(worker), pulse=pulse, metrics=metrics)
    return Worker(
        log=FaustLog(kafka, _group(worker), dispatcher),
        dispatcher=dispatcher,
        health=health,
        metrics=metrics,
        http=http,
        limits=worker,
        gates=gates,
        parts=parts,
        routes=routes,
        trouble=trouble,
    )


def _limits(settings: WorkerSettings) -> Limits:
    return Limits(
        interactive=settings.admit_interactive,
        bulk=settings.admit_bulk,
        retry=settings.admit_retry,
        running=settings.max_running,
        reserved=settings.reserved_interactive,
        held=settings.max_held_retries,
        unacknowledged=settings.max_unacknowledged,
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
