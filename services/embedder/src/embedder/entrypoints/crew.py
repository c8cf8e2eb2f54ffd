"""A worker's crew: the handler, and all that delivers to it and keeps it going."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from embedder.adapters.faust_log import FaustLog, GroupOptions
from embedder.domain.admission import Limits
from embedder.entrypoints.dispatcher import Dispatcher
from embedder.entrypoints.liveness import Trouble, no_trouble
from embedder.ports import JobHandler
from embedder.settings import WorkerSettings
from embedder.telemetry import Pulse
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.metrics import Metrics

__all__ = ["Crew", "Gate", "Part", "crew"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that lives as long as the worker does."""

    stop: Callable[[], Awaitable[object]]
    """Takes bounded time."""
    start: Callable[[], Awaitable[object]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Something that must be right once before work begins.

    The check raises KartotekaError or OSError with the reason while it is not; it is tried again
    until it passes, and the worker is not ready meanwhile.
    """

    name: str
    check: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """All that does a worker's work."""

    log: FaustLog
    """The job topics; their sink is the dispatcher."""
    dispatcher: Dispatcher
    gates: Sequence[Gate] = ()
    """Passed in this order before work begins."""
    parts: Sequence[Part] = ()
    """Started in this order, stopped in the reverse one."""
    routes: Sequence[web.RouteDef] = ()
    """Served below ``/v1/``, once the parts are started."""
    trouble: Trouble = no_trouble
    """Asked when nothing goes forward: the outage that is to blame, or None."""


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
