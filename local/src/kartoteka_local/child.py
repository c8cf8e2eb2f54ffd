"""One child process: started, watched, started again, stopped."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

from kartoteka_local.command import leashed
from kartoteka_local.diagnosis import diagnose
from kartoteka_local.disk import free_bytes
from kartoteka_local.errors import KeepsDyingError
from kartoteka_local.last_words import last_words
from kartoteka_local.program import Probe, Program
from kartoteka_local.restarts import RestartHistory, RestartPolicy
from kartoteka_local.watcher import Watcher
from kartoteka_runtime.clock import Clock

__all__ = ["Child"]

_PROBE_SECONDS: Final = 0.2
_LIVENESS_TRIES: Final = 3


class Child:
    """A program that runs, and is started again when it dies.

    Args:
        program: what to run.
        policy: how often it may die.
        clock: the time.
        watcher: kills it should this process end suddenly.
        say: tells a person.
        changed: called when it has a new pid.
        liveness_seconds: the time between two questions whether it lives.
    """

    def __init__(
        self,
        program: Program,
        *,
        policy: RestartPolicy,
        clock: Clock,
        watcher: Watcher,
        say: Callable[[str], None],
        changed: Callable[[], None],
        liveness_seconds: float = 10.0,
    ) -> None:
        self.program = program
        self.ready = asyncio.Event()
        self.waits_for: str = "not started"
        """Why it is not ready."""
        self.pid: int | None = None
        self._died_at: float | None = None
        """On the clock; None: it is as well as it ever was."""
        self._history = RestartHistory(policy=policy)
        self._clock = clock
        self._watcher = watcher
        self._say = say
        self._changed = changed
        self._liveness_seconds = liveness_seconds
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    async def keep_alive(self) -> None:
        """Run it until it is stopped.

        Raises:
            KeepsDyingError: no restart helps.
        """
        while not self._stopping.is_set():
            process, start_of_words = await self._start()
            if self._stopping.is_set():  # told while it was being started: it has done nothing yet
                _kill_group(process.pid)
            probing = asyncio.create_task(self._probe())
            try:
                code = await process.wait()
            finally:
                probing.cancel()
                await asyncio.gather(probing, return_exceptions=True)
            was_ready = self.ready.is_set()
            self._bury(process.pid)
            if not self._stopping.is_set():
                await self._after_death(code, start_of_words, was_ready=was_ready)

    async def stop(self) -> bool:
        """Ask it to end, insist after its grace. False: it had to be killed."""
        self._stopping.set()
        if self.pid is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(self._ended.wait(), self.program.grace)
        except TimeoutError:
            self.kill()
            await self._ended.wait()
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to it and its own children, at once."""
        self._stopping.set()
        if self.pid is not None:
            _kill_group(self.pid)

    async def _start(self) -> tuple[asyncio.subprocess.Process, int]:
        self.program.log.parent.mkdir(parents=True, exist_ok=True)
        with self.program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *leashed(*self.program.argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self.program.env),
                # Its own group: a Ctrl-C reaches the supervisor alone, which stops in order.
                start_new_session=True,
            )
            self._watcher.add(process.pid)
            start_of_words = log.tell()
        self._ended.clear()
        self.pid = process.pid
        self.waits_for = "starting"
        self._changed()
        return process, start_of_words

    async def _probe(self) -> None:
        while (reason := await self.program.probe()) is not None:
            self.waits_for = reason
            await asyncio.sleep(_PROBE_SECONDS)
        self.waits_for = ""
        self.ready.set()
        if self._died_at is not None:
            away = self._clock.monotonic() - self._died_at
            self._say(f"{self.program.name} is ready again, {away:.1f} s after it died")
            self._died_at = None
        if self.program.liveness is not None:
            await self._until_dead(self.program.liveness)

    async def _until_dead(self, liveness: Probe) -> None:
        """End a process that runs but no longer lives, as Kubernetes would."""
        reasons = 0
        while reasons < _LIVENESS_TRIES:
            await asyncio.sleep(self._liveness_seconds)
            reason = await liveness()
            reasons = 0 if reason is None else reasons + 1
        self._say(f"{self.program.name} runs but does not live ({reason}); ending it")
        if self.pid is not None:
            _kill_group(self.pid)

    def _bury(self, pid: int) -> None:
        # What it started itself, say a parser, must not outlive it.
        _kill_group(pid)
        self._watcher.remove(pid)
        self.pid = None
        self.ready.clear()
        self.waits_for = "not running"
        self._ended.set()

    async def _after_death(self, code: int, start_of_words: int, *, was_ready: bool) -> None:
        name, words = self.program.name, last_words(self.program.log, since=start_of_words)
        free = free_bytes(self.program.log.parent)
        diagnosis = diagnose(self.program, code, words, free=free)
        self._died_at = now = self._clock.monotonic()
        delay = self._history.died(now, was_ready=was_ready)
        if delay is None or diagnosis.hopeless:
            said = "\n".join(f"    | {line}" for line in words) or "    | (it said nothing)"
            how = "died and no restart helps" if diagnosis.hopeless else "keeps dying"
            raise KeepsDyingError(
                name,
                f"{name} {how} ({_how(code)}). Its last lines:\n{said}\n\n{diagnosis.advice}\n"
                f"All it said: {self.program.log}",
            )
        self._say(f"{name} died ({_how(code)}); starting it again in {delay:.1f} s")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}"
