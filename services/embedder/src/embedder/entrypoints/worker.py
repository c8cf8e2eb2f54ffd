"""The worker's life: serve, wait for what it needs, work, drain, stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aiohttp import web

from embedder.entrypoints.crew import Crew, Gate, GroupLog
from embedder.entrypoints.drain import drain
from embedder.entrypoints.late_routes import LateRoutes
from embedder.entrypoints.liveness import Liveness, LivenessLimits
from embedder.entrypoints.probes import probe_routes
from embedder.entrypoints.watchdog import LoopBeat, Watchdog
from embedder.entrypoints.worker_settings import HttpSettings, WorkerSettings
from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.health import Health
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.loop_lag import LoopLag
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.signals import stop_signal

__all__ = ["Worker", "serve"]

_log = get_logger(__name__)

_GATE_SECONDS: Final = 60.0
_GATE_PAUSE: Final = Backoff(base=0.25, limit=5.0)
_STOP_SECONDS: Final = 30.0
"""Beyond the drain: for leaving the group and closing clients. Then the process ends itself."""


class Worker:
    """One worker process.

    Args:
        hire: puts the crew together; may take its time, and is cancelled by a stop.
        health: answers the probes.
        metrics: of the process.
        http: where to serve.
        limits: when to give up.
    """

    def __init__(
        self,
        hire: Callable[[], Awaitable[Crew]],
        *,
        health: Health,
        metrics: Metrics,
        http: HttpSettings,
        limits: WorkerSettings,
    ) -> None:
        self._hire = hire
        self._health = health
        self._metrics = metrics
        self._http = http
        self._limits = limits
        self._late_routes = LateRoutes()
        self._member: Crew | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then drain.

        Raises:
            ExceptionGroup: of HandlerBrokeError or LogCrashedError: the process must end.
        """
        beat = LoopBeat()
        watchdog = Watchdog(beat, seconds=self._limits.watchdog_seconds)
        self._health.hold("group", "no partitions were shared out yet")
        watchdog.start()  # and never stopped: it also ends a process that hangs after this
        lag = LoopLag(self._metrics)
        async with self._serving(), _background(beat.run()), _background(lag.run()):
            await self._live(stop, beat, watchdog)

    async def _live(self, stop: asyncio.Event, beat: LoopBeat, watchdog: Watchdog) -> None:
        seconds = self._limits.drain_seconds
        async with AsyncExitStack() as stack:
            work = asyncio.create_task(self._work(stack, beat), name="work")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            watchdog.expect_end(seconds + _STOP_SECONDS)
            stopping.cancel()
            crew = self._member
            try:
                if work.done():
                    await work
                elif crew is not None:
                    await drain(crew.dispatcher, crew.log, self._health, seconds=seconds)
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                if crew is not None:
                    await crew.log.stop()

    async def _work(self, stack: AsyncExitStack, beat: LoopBeat) -> None:
        crew = await self._hire()
        for part in crew.parts:
            if part.start is not None:
                await part.start()
            stack.push_async_callback(part.stop)
        self._late_routes.fill(crew.routes)
        self._health.started = True
        for gate in (Gate(name="kafka", check=crew.log.reach), *crew.gates):
            await self._pass(gate)
        liveness = Liveness(
            crew.log, crew.dispatcher, beat, self._liveness_limits(), trouble=crew.trouble
        )
        liveness.register(self._health)
        async with asyncio.TaskGroup() as group:
            group.create_task(crew.dispatcher.run(), name="dispatcher")
            self._member = crew
            await crew.log.start()
            group.create_task(crew.log.crashed(), name="faust")
            group.create_task(self._welcome(crew.log), name="welcome")
            group.create_task(liveness.run(), name="liveness")
            for begin in crew.background:
                group.create_task(begin())

    async def _pass(self, gate: Gate) -> None:
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(_GATE_SECONDS):  # wait_for may swallow a stop
                    await gate.check()
            except (KartotekaError, OSError) as error:
                reason = str(error) or type(error).__name__
                self._health.hold(gate.name, reason)
                _log.warning("waiting", gate=gate.name, reason=reason, attempt=attempt)
                await asyncio.sleep(_GATE_PAUSE.delay(attempt))
                attempt += 1
            else:
                self._health.clear(gate.name)
                return

    async def _welcome(self, log: GroupLog) -> None:
        await log.joined()
        self._health.clear("group")
        _log.info("worker_ready")

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        app = web.Application()
        app.add_routes([*probe_routes(self._health, self._metrics), self._late_routes.route()])
        runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._http.host, self._http.port)
            await site.start()
            _log.info("serving", addresses=[str(address) for address in runner.addresses])
            yield
        finally:
            await runner.cleanup()

    def _liveness_limits(self) -> LivenessLimits:
        return LivenessLimits(
            lag=self._limits.lag_seconds,
            zombie=self._limits.zombie_seconds,
            stall=self._limits.stall_seconds,
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
