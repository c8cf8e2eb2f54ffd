"""The worker's life: serve, wait for what it needs, work, drain, stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web

from embedder.adapters.faust_log import FaustLog
from embedder.entrypoints.dispatcher import Dispatcher
from embedder.entrypoints.drain import drain
from embedder.entrypoints.liveness import Liveness, LivenessLimits
from embedder.entrypoints.probes import probe_routes
from embedder.entrypoints.watchdog import LoopBeat, Watchdog
from embedder.settings import HttpSettings, WorkerSettings
from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.health import Health
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.signals import stop_signal

__all__ = ["Gate", "Part", "Worker", "serve"]

_log = get_logger(__name__)

_GATE_SECONDS: Final = 60.0
_GATE_PAUSE: Final = Backoff(base=0.25, limit=5.0)
_STOP_SECONDS: Final = 30.0
"""Beyond the drain: for leaving the group and closing clients. Then the process ends itself."""


class Part(Protocol):
    """Something that lives as long as the worker does."""

    async def start(self) -> None:
        """Begin."""
        ...

    async def stop(self) -> None:
        """End, in bounded time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Something that must be right once before work begins.

    The check raises KartotekaError or OSError with the reason while it is not; it is tried again
    until it passes, and the worker is not ready meanwhile.
    """

    name: str
    check: Callable[[], Awaitable[object]]


@dataclass(kw_only=True)
class Worker:
    """One worker process, put together.

    Args:
        log: the job topics, whose sink is the dispatcher.
        dispatcher: runs the jobs.
        health: answers the probes.
        metrics: of the process.
        http: where to serve.
        limits: when to give up.
        gates: to pass in this order before work begins.
        parts: started in this order, stopped in the reverse one.
        routes: served beside the probes.
        trouble: why work cannot go forward through no fault of ours, or None.
    """

    log: FaustLog
    dispatcher: Dispatcher
    health: Health
    metrics: Metrics
    http: HttpSettings
    limits: WorkerSettings
    gates: Sequence[Gate] = ()
    parts: Sequence[Part] = ()
    routes: Sequence[web.AbstractRouteDef] = ()
    trouble: Callable[[], str | None] = lambda: None
    _is_member: bool = False

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then drain.

        Raises:
            HandlerBrokeError: the handler raised.
            LogCrashedError: Faust ended by itself.
        """
        beat = LoopBeat()
        watchdog = Watchdog(beat, seconds=self.limits.watchdog_seconds)
        self.health.hold("startup", "the worker's parts are not started yet")
        self.health.hold("group", "no partitions were shared out yet")
        watchdog.start()
        try:
            async with self._serving(), _background(beat.run()):
                await self._live(stop, beat, watchdog)
        finally:
            watchdog.stop()

    async def _live(self, stop: asyncio.Event, beat: LoopBeat, watchdog: Watchdog) -> None:
        liveness = Liveness(
            self.log, self.dispatcher, beat, self._liveness_limits(), trouble=self.trouble
        )
        async with AsyncExitStack() as stack:
            work = asyncio.create_task(self._work(stack, liveness), name="work")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            watchdog.expect_end(self.limits.drain_seconds + _STOP_SECONDS)
            stopping.cancel()
            try:
                if work.done():
                    await work
                elif self._is_member:
                    await drain(
                        self.dispatcher, self.log, self.health, seconds=self.limits.drain_seconds
                    )
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                if self._is_member:
                    await self.log.stop()

    async def _work(self, stack: AsyncExitStack, liveness: Liveness) -> None:
        for part in self.parts:
            await part.start()
            stack.push_async_callback(part.stop)
        self.health.started = True
        self.health.clear("startup")
        for gate in (Gate(name="kafka", check=self.log.reach), *self.gates):
            await self._pass(gate)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.dispatcher.run(), name="dispatcher")
            self._is_member = True
            await self.log.start()
            group.create_task(self.log.crashed(), name="faust")
            group.create_task(self._watch_membership(), name="membership")
            liveness.register(self.health)
            group.create_task(liveness.run(), name="liveness")

    async def _pass(self, gate: Gate) -> None:
        attempt = 0
        while True:
            try:
                await asyncio.wait_for(gate.check(), _GATE_SECONDS)
            except (KartotekaError, OSError) as error:
                reason = str(error) or type(error).__name__
                self.health.hold(gate.name, reason)
                _log.warning("waiting", gate=gate.name, reason=reason, attempt=attempt)
                await asyncio.sleep(_GATE_PAUSE.delay(attempt))
                attempt += 1
            else:
                self.health.clear(gate.name)
                return

    async def _watch_membership(self) -> None:
        await self.log.joined()
        self.health.clear("group")
        _log.info("worker_ready")

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        app = web.Application()
        app.add_routes([*probe_routes(self.health, self.metrics), *self.routes])
        runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.http.host, self.http.port)
            await site.start()
            _log.info("serving", addresses=[str(address) for address in runner.addresses])
            yield
        finally:
            await runner.cleanup()

    def _liveness_limits(self) -> LivenessLimits:
        return LivenessLimits(
            lag=self.limits.lag_seconds,
            zombie=self.limits.zombie_seconds,
            stall=self.limits.stall_seconds,
        )


async def serve(worker: Worker) -> int:
    """Run a worker until SIGTERM or SIGINT; return the process's exit code.

    0: drained. 1: it ended by itself, and must be started anew.
    """
    async with stop_signal() as stop:
        try:
            await worker.run(stop)
        except Exception:  # noqa: BLE001 - the last guard of the process: logged, then it ends
            _log.critical("worker_failed", exc_info=True)
            return 1
    return 0


@asynccontextmanager
async def _background(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
