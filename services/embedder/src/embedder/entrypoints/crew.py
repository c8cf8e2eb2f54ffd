"""A worker's crew: all that does its work."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from embedder.entrypoints.dispatcher import Dispatcher
from embedder.entrypoints.drain import JobLog
from embedder.entrypoints.liveness import Member, Trouble, no_trouble

__all__ = ["Crew", "Gate", "GroupLog", "Part"]


class GroupLog(JobLog, Member, Protocol):
    """The job topics, as one member of the consumer group reads them."""

    async def reach(self) -> None:
        """Return when the broker answers.

        Raises:
            UnavailableError: it does not.
        """
        ...

    async def start(self) -> None:
        """Join the group; deliveries begin once partitions are assigned."""
        ...

    async def joined(self) -> None:
        """Wait until partitions, or none, were assigned for the first time."""
        ...

    async def crashed(self) -> None:
        """Wait until it has ended by itself, and raise why."""
        ...


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

    log: GroupLog
    """The job topics; their sink is the dispatcher."""
    dispatcher: Dispatcher
    gates: Sequence[Gate] = ()
    """Passed in this order before work begins."""
    parts: Sequence[Part] = ()
    """Started in this order, stopped in the reverse one."""
    routes: Sequence[web.RouteDef] = ()
    """Served below ``/v1/``, once the parts are started."""
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    """Begun once the gates are passed; one that ends by an error ends the worker."""
    trouble: Trouble = no_trouble
    """Asked when nothing goes forward: the outage that is to blame, or None."""
