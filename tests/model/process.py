"""A process that stops before every call to the world, until it is told how the call goes."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any, Final, TypeVar

import structlog

from tests.model.virtual_loop import VirtualLoop

__all__ = ["Fate", "Outages", "Parked", "Process", "owned_task"]

T = TypeVar("T")


@unique
class Fate(Enum):
    """What becomes of a call."""

    GO = "go"
    FAIL = "fail"
    """It never arrives."""
    LOST = "lost"
    """It takes effect, and its answer never arrives."""


Outages = set[str]
"""The dependencies that are away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A call that waits to be let go."""

    label: str
    place: str
    n: int
    gate: "asyncio.Future[Fate]"


_OWNER: Final[ContextVar["Process | None"]] = ContextVar("owner", default=None)


def owned_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
    """Make a task that ends with the process that made it. A task factory.

    A task may be given a context of its own, which knows of no process: it is told.
    """
    context: Context | None = options.get("context")
    owner = _OWNER.get() if context is None else context.get(_OWNER) or _OWNER.get()
    if context is not None:
        context.run(_OWNER.set, owner)
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    if owner is not None:
        owner.tasks.append(task)
    return task


class Process:
    """Everything that ends together.

    Args:
        loop: runs it.
        name: for people.
        away: what no process reaches now.
    """

    def __init__(self, loop: VirtualLoop, name: str, away: Outages) -> None:
        self.loop = loop
        self.name = name
        self.tasks: list[asyncio.Task[Any]] = []
        self.is_dead = False
        self._away = away
        self._parked: list[Parked] = []
        self._calls = 0

    def own(self, make: Callable[[], T]) -> T:
        """Do something as this process."""
        token = _OWNER.set(self)
        try:
            with self.loop.running():
                return make()
        finally:
            _OWNER.reset(token)

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start a task of this process."""
        return self.own(lambda: self.loop.create_task(work))

    @property
    def parked(self) -> list[Parked]:
        """The calls that wait, in an order that depends on nothing but the run."""
        self._parked = [one for one in self._parked if not one.gate.done()]
        return sorted(self._parked, key=lambda one: (one.place, one.n))

    def step(self, pick: int, fate: Fate = Fate.GO) -> str | None:
        """Let one call go, and run until everybody waits again; None where none waits."""
        parked = self.parked
        if not parked:
            return None
        one = parked[pick % len(parked)]
        one.gate.set_result(fate)
        self.loop.settle()
        return one.label

    def crash(self) -> None:
        """End here: nothing that it still does has an effect."""
        self.is_dead = True
        for task in self.tasks:
            task.cancel()
        self.loop.settle()
        for task in self.tasks:  # what was started while it ended
            task.cancel()
        self.loop.settle()

    async def call(
        self, dependency: str, label: str, effect: Callable[[], T], error: Callable[[], Exception]
    ) -> T:
        """Make a call to the world."""
        fate = await self.park(label)
        if fate is Fate.FAIL or dependency in self._away:
            raise error()
        result = effect()
        if fate is Fate.LOST:
            raise error()
        return result

    async def park(self, label: str) -> Fate:
        """Wait to be let go."""
        if self.is_dead:
            raise asyncio.CancelledError
        bound = structlog.contextvars.get_contextvars()
        place = f"{bound.get('topic', '')}/{bound.get('partition', '')}/{bound.get('offset', 0):06}"
        self._calls += 1
        gate: asyncio.Future[Fate] = self.loop.create_future()
        self._parked.append(Parked(label=label, place=place, n=self._calls, gate=gate))
        fate = await gate
        if self.is_dead:
            raise asyncio.CancelledError
        return fate

    def is_away(self, dependency: str) -> bool:
        """Whether nobody reaches a dependency now."""
        return dependency in self._away
