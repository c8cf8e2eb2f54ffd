"""The composition root: settings in, use cases out."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import uuid4

from kartoteka_runtime.clock import Clock, SystemClock
from kartoteka_runtime.env import SettingsError
from kartoteka_runtime.producer import Producer
from scheduler.adapters.kafka_state import KafkaState
from scheduler.adapters.no_cluster import LogJournal, NoLock
from scheduler.ports import Journal, Lock
from scheduler.settings import Settings
from scheduler.usecases.reindex import Reindex
from scheduler.usecases.tick import Tick

__all__ = ["CLOCK", "reindexing", "ticking"]

CLOCK: Final = SystemClock()
_CONNECT_SECONDS: Final = 30.0


@asynccontextmanager
async def ticking(settings: Settings) -> AsyncIterator[Tick]:
    """Connect, give a tick that may be run again and again, disconnect.

    Raises:
        SettingsError: a Lease is wanted, and there is no way to a cluster.
    """
    lock, journal = _coordination(settings, CLOCK)
    async with _producer(settings) as producer:
        yield Tick(
            state=KafkaState(settings.kafka),
            log=producer,
            lock=lock,
            journal=journal,
            clock=CLOCK,
            in_flight=settings.in_flight,
        )


@asynccontextmanager
async def reindexing(settings: Settings) -> AsyncIterator[Reindex]:
    """Connect, give what asks for runs by hand, disconnect."""
    async with _producer(settings) as producer:
        yield Reindex(
            state=KafkaState(settings.kafka),
            log=producer,
            clock=CLOCK,
            in_flight=settings.in_flight,
        )


@asynccontextmanager
async def _producer(settings: Settings) -> AsyncIterator[Producer]:
    producer = Producer(settings.kafka, settings.producer, client_id="kartoteka-scheduler")
    try:
        await producer.start()
        with suppress(TimeoutError):  # then the first send says what is wrong
            await asyncio.wait_for(producer.wait_connected(), _CONNECT_SECONDS)
        yield producer
    finally:
        await producer.stop()


def _coordination(settings: Settings, clock: Clock) -> tuple[Lock, Journal]:
    if not settings.has_lease:
        return NoLock(), LogJournal()
    # Whoever runs without a cluster need not load its client.
    from scheduler.adapters.cluster import ClusterConfigError, connect  # noqa: PLC0415
    from scheduler.adapters.kube_lease import KubeJournal, KubeLease  # noqa: PLC0415

    asked = settings.scheduler
    try:
        cluster = connect(
            is_inside=bool(settings.cluster.service_host),
            kubeconfig=asked.kubeconfig,
            namespace=asked.lease_namespace,
        )
    except ClusterConfigError as error:
        raise SettingsError((f"SCHEDULER_LEASE: {error}",)) from error
    # Another for each process: one that starts in a killed one's place must not pass for it.
    identity = f"{socket.gethostname()}_{uuid4()}"
    lease = KubeLease(
        cluster.api,
        namespace=cluster.namespace,
        name=asked.lease_name,
        identity=identity,
        seconds=asked.lease_seconds,
        clock=clock,
    )
    journal = KubeJournal(
        cluster.api,
        namespace=cluster.namespace,
        lease=asked.lease_name,
        identity=identity,
        clock=clock,
    )
    return lease, journal
