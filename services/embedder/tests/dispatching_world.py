"""A log and a handler that do as a test of the dispatcher says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from embedder.domain.admission import WORK_TOPICS, Limits
from embedder.domain.delivery import Delivery
from embedder.domain.job import Job, Lease, Origin, RawRecord
from embedder.domain.window import Place
from embedder.entrypoints.dispatcher import Dispatcher
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.events import DocumentSubmitted, TaskCancellationRequested
from kartoteka_contracts.reindex import RunContinued
from kartoteka_runtime.metrics import Metrics
from kartoteka_testkit.builders import cancellation, submitted
from kartoteka_testkit.frozen_clock import FrozenClock

LIMITS = Limits(
    interactive=6, bulk=4, retry=4, reindex=3, running=4, reserved=2, planning=1, held=2
)
INTERACTIVE, BULK, RETRY, RUNS = WORK_TOPICS


_SHORT = {
    "document_submitted": "",
    "document_deletion_requested": "delete ",
    "task_cancellation_requested": "cancel ",
    "cabinet_deletion_requested": "empty ",
}


def label_of(job: Job) -> str:
    if isinstance(job.event, RunContinued):
        return f"run {job.event.key}@{job.event.step}"
    return f"{_SHORT[job.event.type]}{job.external_id or job.event.key}@{job.version}"


class Handler:
    """Records the calls; each ends when the test says so."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.superseded: list[str] = []
        self.cancelled: list[str] = []
        self.rejected: list[int] = []
        self.leases: dict[str, Lease] = {}
        self.supersede_waits: asyncio.Event | None = None
        self.cancel_waits: asyncio.Event | None = None
        self._gates: dict[str, list[asyncio.Future[None]]] = {}

    async def handle(self, job: Job, lease: Lease) -> None:
        label = label_of(job)
        self.began.append(label)
        self.leases[label] = lease
        if isinstance(job.event, TaskCancellationRequested):
            return
        gate = asyncio.get_running_loop().create_future()
        self._gates.setdefault(label, []).append(gate)
        await gate

    async def supersede(self, job: Job) -> None:
        if self.supersede_waits is not None:
            await self.supersede_waits.wait()
        self.superseded.append(label_of(job))

    async def cancel(self, job: Job) -> None:
        if self.cancel_waits is not None:
            await self.cancel_waits.wait()
        self.cancelled.append(label_of(job))

    async def reject(self, record: RawRecord, error: EventError) -> None:
        assert error.code
        self.rejected.append(record.origin.offset)

    async def end(self, name: str, version: int = 1, error: BaseException | None = None) -> None:
        gate = self._gates[f"{name}@{version}"].pop(0)
        if error is None:
            gate.set_result(None)
        else:
            gate.set_exception(error)
        await settled()


class Log:
    """Hands records to a dispatcher and notes what is acknowledged."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.acknowledged: list[tuple[str, int, int]] = []
        self.generation = 0
        self._dispatcher = dispatcher
        self._offsets: dict[str, int] = {}
        self._records: dict[tuple[str, int], RawRecord] = {}

    def turn(self, *topics: str) -> None:
        self._dispatcher.suspend()
        self.generation += 1
        places = {Place(name, 0) for name in topics or WORK_TOPICS}
        self._dispatcher.turn(self.generation, places)

    async def send(
        self, name: str, *, topic: str = INTERACTIVE, version: int = 1, cabinet: int = 1, **at: Any
    ) -> None:
        event = _event(name, version, cabinet)
        headers = Envelope(**at).to_headers()
        await self.send_raw(event.model_dump_json().encode(), topic=topic, headers=headers)

    async def cancel(self, name: str, *, version: int = 1, topic: str = INTERACTIVE) -> None:
        """Ask for the cancellation of what :meth:`send` sent."""
        event = cancellation(_event(name, version, cabinet=1))
        await self.send_raw(event.model_dump_json().encode(), topic=topic)

    async def send_raw(self, value: bytes, *, topic: str = INTERACTIVE, headers: Any = ()) -> None:
        offset = self._offsets.setdefault(topic, 0)
        self._offsets[topic] += 1
        self._records[topic, offset] = RawRecord(
            origin=Origin(topic=topic, partition=0, offset=offset),
            key=b"k",
            value=value,
            headers=tuple(headers),
        )
        await self.deliver(topic, offset)

    async def deliver(self, topic: str, offset: int, *, generation: int | None = None) -> None:
        at = self.generation if generation is None else generation

        async def acknowledge() -> None:
            self.acknowledged.append((topic, offset, at))

        delivery = Delivery(
            record=self._records[topic, offset], generation=at, acknowledge=acknowledge
        )
        await self._dispatcher.submit(delivery)
        await settled()

    @property
    def offsets(self) -> list[int]:
        return [offset for _, offset, _ in self.acknowledged]


def _event(name: str, version: int, cabinet: int) -> DocumentSubmitted:
    """Return the upload of a version: always the same task."""
    task = str(uuid5(NAMESPACE_URL, f"{cabinet}/{name}@{version}"))
    return submitted(external_id=name, version=version, cabinet=cabinet, task_id=task)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def dispatching(handler: Handler, clock: FrozenClock) -> AsyncIterator[Dispatcher]:
    """Run a dispatcher."""
    dispatcher = Dispatcher(handler, LIMITS, clock=clock, metrics=Metrics())
    run = asyncio.create_task(dispatcher.run())
    await asyncio.sleep(0)
    try:
        yield dispatcher
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
