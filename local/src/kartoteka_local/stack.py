"""The stack at work: started in order, watched, stopped in order."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from kartoteka_local.child import Child
from kartoteka_local.console import Console
from kartoteka_local.diagnosis import sign_of_damage
from kartoteka_local.disk import shortage
from kartoteka_local.errors import StackError
from kartoteka_local.keys import api_key
from kartoteka_local.last_words import last_words
from kartoteka_local.plan import Plan
from kartoteka_local.program import Program
from kartoteka_local.restarts import RestartPolicy
from kartoteka_local.settings import StackSettings
from kartoteka_local.stack_file import StackFile, remove_stack, write_stack
from kartoteka_local.topics import provision_topics
from kartoteka_local.watcher import Watcher
from kartoteka_runtime.clock import Clock

__all__ = ["Stack", "Steps"]

_DISK_SECONDS: Final = 10.0
_NEWS_SECONDS: Final = 10.0
_FIRST_NEWS_SECONDS: Final = 5.0
_DAMAGE_SECONDS: Final = 1.0
_WORDS: Final = 1000
"""Lines of a broker's log that are looked through for a sign of damage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Commands that a start runs to their end."""

    key: Callable[[Plan, Console], Awaitable[str]] = api_key
    topics: Callable[[Plan], Awaitable[None]] = provision_topics


class Stack:
    """The children of one plan.

    Args:
        plan: what to run.
        settings: limits of the stack itself.
        console: where to tell a person.
        clock: the time.
        watcher: kills the children should this process end suddenly.
        policy: how often a child may die.
        steps: what is done besides starting children.
    """

    def __init__(
        self,
        plan: Plan,
        settings: StackSettings,
        *,
        console: Console,
        clock: Clock,
        watcher: Watcher,
        policy: RestartPolicy | None = None,
        steps: Steps | None = None,
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._console = console
        self._clock = clock
        self._watcher = watcher
        self._policy = policy or RestartPolicy()
        self._steps = steps or Steps()
        self._children: dict[str, Child] = {}
        self._keepers: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._file: StackFile | None = None

    async def run(
        self, stop: asyncio.Event, when_ready: Callable[[StackFile], Awaitable[None]]
    ) -> None:
        """Start, do something once ready, stay up until told to stop; then stop everything.

        Raises:
            StackError: it could not start, or a child keeps dying; all are stopped by then.
        """
        work = asyncio.create_task(self._work(when_ready))
        stopped = asyncio.create_task(stop.wait())
        disk = asyncio.create_task(self._watch_disk())
        try:
            ends: list[asyncio.Future[Any]] = [self._failure, work, disk, stopped]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                if end.done():
                    await end
        finally:
            for task in (work, stopped, disk):
                task.cancel()
            await asyncio.gather(work, stopped, disk, return_exceptions=True)
            await self._shut_down()

    def kill(self) -> None:
        """End all children at once: somebody is out of patience."""
        for child in self._children.values():
            child.kill()

    async def _work(self, when_ready: Callable[[StackFile], Awaitable[None]]) -> None:
        began = self._clock.monotonic()
        news = asyncio.create_task(self._tell_what_is_waited_for())
        damage = asyncio.create_task(self._watch_for_damage())
        try:
            async with asyncio.timeout(self._settings.start_timeout):
                key = await self._start()
        except TimeoutError:
            raise StackError(
                f"The stack is not ready after {self._settings.start_timeout:.0f} s:\n"
                f"{await self._reasons()}\nLogs: {self._plan.home.log('x').parent}"
            ) from None
        finally:
            news.cancel()
            damage.cancel()
        self._file = StackFile(
            api_url=self._plan.api_url,
            api_key=key,
            kafka=self._plan.kafka_address,
            qdrant_url=self._plan.qdrant_url,
            pids={},
            supervisor_pid=0,
        )
        self._write_file()
        self._console.say(f"Ready in {self._clock.monotonic() - began:.1f} s.")
        await when_ready(self._file)
        await asyncio.Event().wait()

    async def _start(self) -> str:
        """Start everything, as much as possible at once. Returns the API key."""
        plan = self._plan
        for program in (plan.kafka, plan.qdrant):
            if program is not None:
                self._launch(program)
        key = await self._steps.key(plan, self._console)
        self._launch(plan.api)
        if plan.kafka is not None:
            await self._children[plan.kafka.name].ready.wait()
        if plan.broker is not None:
            plan.broker.check()
        # Embedders wait for their topics by themselves, and take a while to load.
        for program in plan.embedders:
            self._launch(program)
        await self._steps.topics(plan)
        self._launch(plan.scheduler)
        for child in tuple(self._children.values()):
            await child.ready.wait()
        return key

    def _launch(self, program: Program) -> None:
        child = Child(
            program,
            policy=self._policy,
            clock=self._clock,
            watcher=self._watcher,
            say=self._console.warn,
            changed=self._write_file,
        )
        self._children[program.name] = child
        keeper = asyncio.create_task(child.keep_alive(), name=program.name)
        self._keepers.add(keeper)
        keeper.add_done_callback(self._kept)

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        if keeper.cancelled() or self._failure.done():
            return
        error = keeper.exception()
        if error is not None:
            self._failure.set_exception(error)

    def _write_file(self) -> None:
        if self._file is None:
            return
        pids = {name: c.pid for name, c in self._children.items() if c.pid is not None}
        try:
            write_stack(self._plan.home, self._file.with_pids(pids))
        except OSError as error:  # a full disk must not take down what still runs
            self._console.warn(f"{self._plan.home.stack_file} could not be written: {error}")

    async def _shut_down(self) -> None:
        self._file = None
        remove_stack(self._plan.home)
        embedders = [program.name for program in self._plan.embedders]
        for names in (["scheduler", "ingest-api"], embedders, ["qdrant"], ["kafka"]):
            await asyncio.gather(*(self._stop(name) for name in names if name in self._children))
        await asyncio.gather(*self._keepers, return_exceptions=True)
        if self._failure.done():
            self._failure.exception()  # it was raised, or came too late to matter

    async def _stop(self, name: str) -> None:
        child = self._children[name]
        if child.pid is None:
            await child.stop()
            return
        began = self._clock.monotonic()
        self._console.say(f"stopping {name} …")
        in_time = await child.stop()
        took = self._clock.monotonic() - began
        self._console.say(f"stopped {name} in {took:.1f} s{'' if in_time else ', by force'}")

    async def _watch_disk(self) -> None:
        warned = False
        while True:
            problem = shortage(self._plan.home.root, self._settings.min_free_bytes)
            if problem and not warned:
                self._console.warn(problem)
            warned = problem is not None
            await asyncio.sleep(_DISK_SECONDS)

    async def _watch_for_damage(self) -> None:
        """End a start whose broker runs but says that its data are damaged.

        It would be waited for until the end of all patience.
        """
        broker, kafka = self._plan.broker, self._plan.kafka
        if broker is None or kafka is None:
            return
        while not self._failure.done():
            await asyncio.sleep(_DAMAGE_SECONDS)
            line = sign_of_damage("\n".join(last_words(kafka.log, lines=_WORDS)))
            if line is not None and not self._failure.done():
                self._failure.set_exception(StackError(broker.damaged(f"it says: {line}")))

    async def _tell_what_is_waited_for(self) -> None:
        await asyncio.sleep(_FIRST_NEWS_SECONDS)
        if self._plan.outside and (away := await self._away()):
            self._console.say("Not ready yet:\n" + "\n".join(away))
        await asyncio.sleep(_NEWS_SECONDS - _FIRST_NEWS_SECONDS)
        while True:
            self._console.say(f"Not ready yet:\n{await self._reasons()}")
            await asyncio.sleep(_NEWS_SECONDS)

    async def _reasons(self) -> str:
        waiting = [
            f"    {name}: {child.waits_for}"
            for name, child in self._children.items()
            if not child.ready.is_set()
        ]
        return "\n".join([*await self._away(), *waiting]) or "    topics are being made"

    async def _away(self) -> list[str]:
        """Return the servers of others that cannot be reached, with their addresses."""
        said = await asyncio.gather(*(server.probe() for server in self._plan.outside))
        return [f"    {reason}" for reason in said if reason is not None]
