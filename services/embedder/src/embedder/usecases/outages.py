"""Outages: telling a dependency that is away from a document that fails, and waiting for the first.

A call that fails for want of a dependency is followed by that dependency's own probe. If the probe
fails too, the dependency is away: nothing starts and nothing is let in until it is back, whoever
met it waits in its place, and no attempt is burnt. If the probe is fine and the call fails again
and again, it is the work's own trouble, such as one object that may not be read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from embedder.telemetry import OutageMetrics
from kartoteka_contracts.errors import KartotekaError, UnavailableError
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.clock import Clock, SystemClock
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metrics import Metrics

__all__ = ["Dependency", "Door", "Outages"]

_log = get_logger(__name__)

_TRIES: Final = 3
_PROBE_SECONDS: Final = 10.0
_PAUSE: Final = Backoff(base=0.5, limit=15.0)

T = TypeVar("T")


class Door(Protocol):
    """Where work comes in."""

    def hold(self, reason: str) -> None:
        """Start nothing and let nothing in."""
        ...

    def release(self, reason: str) -> None:
        """Take that hold away."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Something that work cannot do without."""

    name: str
    """For people and metrics."""
    code: str
    """Of the UnavailableError that its absence raises."""
    probe: Callable[[], Awaitable[object]]
    """Raises KartotekaError or OSError while it is away."""


class Outages:
    """One for each process, with at most one prober at work for each dependency.

    Args:
        dependencies: those that can be asked. An error of any other code is one of this process or
            machine (parsers that do not start): the call is repeated until it is over.
        metrics: of the process.
        pause: between two tries, and between two probes.
        clock: the time.
    """

    def __init__(
        self,
        dependencies: Sequence[Dependency] = (),
        *,
        metrics: Metrics | None = None,
        pause: Backoff = _PAUSE,
        clock: Clock | None = None,
    ) -> None:
        noted = OutageMetrics(metrics or Metrics())
        time = clock or SystemClock()
        self._doors: list[Door] = []
        self._pause = pause
        self._watches = {
            dependency.code: _Watch(dependency, self._doors, noted, pause, time)
            for dependency in dependencies
        }

    def guard(self, door: Door) -> None:
        """Hold a door whenever a dependency is away."""
        self._doors.append(door)

    async def ask_all(self) -> str | None:
        """Ask every dependency; return what one says that is away, None where all are well."""
        for watch in self._watches.values():
            reason = await watch.ask()
            if reason is not None:
                return reason
        return None

    async def through(self, call: Callable[[], Awaitable[T]], *, tries: int | None = _TRIES) -> T:
        """Make a call, again after an outage, and again while its dependency seems well.

        Args:
            call: may be repeated.
            tries: failures in a row, while the dependency seems well, until the error is the
                call's own; None repeats it for ever.

        Raises:
            UnavailableError: it is the call's own.
        """
        failures = 0
        while True:
            try:
                return await call()
            except UnavailableError as error:
                watch = self._watches.get(error.code)
                if watch is not None and await watch.was_away():
                    failures = 0
                    continue
                failures += 1
                _log.info("call_failed", code=error.code, reason=error.message, failures=failures)
                if watch is not None and tries is not None and failures >= tries:
                    raise
            await asyncio.sleep(self._pause.delay(failures - 1))

    async def stop(self) -> None:
        """Ask no dependency any more."""
        for watch in self._watches.values():
            await watch.stop()


class _Watch:
    """Finds out about one dependency, once for all who ask."""

    def __init__(
        self,
        dependency: Dependency,
        doors: Sequence[Door],
        metrics: OutageMetrics,
        pause: Backoff,
        clock: Clock,
    ) -> None:
        self._dependency = dependency
        self._doors = doors
        self._metrics = metrics
        self._pause = pause
        self._clock = clock
        self._task: asyncio.Task[bool] | None = None
        metrics.note(dependency.name, is_away=False)

    async def was_away(self) -> bool:
        """Ask it: False where it is well, True once it is well again."""
        if self._task is None or self._task.done():
            # For all who wait: its lines and spans are not those of the first.
            self._task = asyncio.create_task(
                self._wait(), name=f"probe-{self._dependency.name}", context=Context()
            )
        return await asyncio.shield(self._task)

    async def stop(self) -> None:
        """End the prober, and with it whoever waits."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _wait(self) -> bool:
        reason = await self.ask()
        if reason is None:
            return False
        began, asked = self._clock.monotonic(), 0
        self._open(reason)
        try:
            while reason is not None:
                await asyncio.sleep(self._pause.delay(asked))
                asked += 1
                reason = await self.ask()
        finally:  # whatever became of the prober, nothing is held for ever
            self._close(self._clock.monotonic() - began)
        return True

    async def ask(self) -> str | None:
        """Return why it is away; None where it answers."""
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await self._dependency.probe()
        except (KartotekaError, OSError) as error:
            return str(error) or type(error).__name__
        return None

    def _open(self, reason: str) -> None:
        name = self._dependency.name
        self._metrics.note(name, is_away=True)
        _log.error("outage_began", dependency=name, code=self._dependency.code, reason=reason)
        for door in self._doors:
            door.hold(name)

    def _close(self, seconds: float) -> None:
        name = self._dependency.name
        self._metrics.note(name, is_away=False)
        _log.warning("outage_ended", dependency=name, seconds=round(seconds, 1))
        for door in self._doors:
            door.release(name)
