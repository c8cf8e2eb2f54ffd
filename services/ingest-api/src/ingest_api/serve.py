"""Serve HTTP until a signal, then finish what is under way."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI

from ingest_api.bootstrap import Service, build
from ingest_api.domain.submission import UploadLimits
from ingest_api.entrypoints.http import (
    cabinet_routes,
    dead_letter_routes,
    document_routes,
    health,
    index_routes,
    removal_routes,
    search_routes,
    task_routes,
    uploads,
)
from ingest_api.entrypoints.http.app import Edge, create_app
from ingest_api.entrypoints.http.connection import protocol
from ingest_api.entrypoints.http.receive_deadline import ReceivePolicy
from ingest_api.settings import ApiSettings, Settings
from kartoteka_runtime import logs
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.signals import stop_signal

__all__ = ["application", "serve"]

_LOG: Final = get_logger(__name__)
_BACKLOG: Final = 1024


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: ours turn readiness off first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def application(service: Service) -> FastAPI:
    """Return the service's HTTP application."""
    settings = service.settings
    limits = UploadLimits(
        file_bytes=settings.upload.max_bytes,
        request_bytes=settings.upload.max_request_bytes,
        files=settings.upload.max_files,
    )
    edge = Edge(
        keys=service.keys,
        telemetry=service.telemetry,
        clock=service.clock,
        tracer=service.tracer,
        docs=settings.api.docs,
        receive=ReceivePolicy(
            timeout=settings.api.receive_timeout,
            min_rate=settings.api.receive_min_rate,
            slack=settings.api.receive_slack,
            max_bytes=settings.api.json_max_bytes,
            larger={
                uploads.SINGLE_PATH: limits.file_bytes + uploads.FORM_OVERHEAD,
                uploads.BATCH_PATH: limits.request_bytes,
            },
        ),
    )
    intake = uploads.Intake(
        submit=service.submit,
        claims=service.archive,
        gate=service.gate,
        limits=limits,
        telemetry=service.telemetry,
    )
    return create_app(
        edge,
        uploads.router(intake),
        task_routes.router(service.reading.tasks),
        document_routes.router(service.reading.documents),
        cabinet_routes.router(service.reading.cabinets, service.configure),
        index_routes.router(service.reindex),
        removal_routes.router(service.delete, service.cancel),
        search_routes.router(service.reading.search),
        dead_letter_routes.router(
            service.dead_letters.read, service.dead_letters.resolve, service.clock
        ),
        health.router(service.health, service.metrics),
    )


async def serve(settings: Settings) -> None:
    """Run the service until SIGTERM or SIGINT.

    Readiness goes off first, then, after a moment for load balancers, the port; requests under
    way are finished, then the producer is flushed.

    Raises:
        KartotekaError: the object store's settings cannot be used at all.
        OSError: the port is taken, or a file of the settings cannot be read.
    """
    logs.configure(settings.logs, service="ingest-api")
    with _listener(settings.api) as listener:
        async with stop_signal() as stop, build(settings) as service:
            server = _server(service)
            waiting = asyncio.create_task(_until_stop(service, server, stop, listener))
            try:
                await server.serve(sockets=[listener])
            finally:
                waiting.cancel()
    _LOG.info("stopped")


async def _until_stop(
    service: Service, server: _Server, stop: asyncio.Event, listener: socket.socket
) -> None:
    host, port = listener.getsockname()[:2]
    service.health.started = True
    _LOG.info("listening", host=host, port=port)
    await stop.wait()
    _LOG.info("stopping")
    service.health.hold("shutdown", "this replica is about to stop")
    await asyncio.sleep(service.settings.api.shutdown_grace)
    service.stopping.set()
    server.should_exit = True


def _listener(api: ApiSettings) -> socket.socket:
    """Bind here, not in uvicorn, which would end the process without a word to the caller."""
    family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
    try:
        return socket.create_server((api.host, api.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot listen on {api.host}:{api.port} ({error.strerror}); "
            "set API_PORT to another port, or 0 for a free one",
        ) from error


def _server(service: Service) -> _Server:
    api = service.settings.api
    return _Server(
        uvicorn.Config(
            application(service),
            http=protocol(api.headers_timeout),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=int(api.shutdown_drain),
        )
    )
