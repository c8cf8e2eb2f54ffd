"""Lanes: one document, one running piece of work, and the newest wins."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

__all__ = ["Lanes", "Offer", "Order"]

T = TypeVar("T", bound=Hashable)

Order = tuple[int, int]
"""(version, epoch)."""

_REMEMBERED: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(Generic[T]):
    """What follows from new work in a lane."""

    ready: T | None = None
    """May start as soon as there is a free slot."""
    stop: T | None = None
    """Is running and superseded: to be stopped; its lane is free when it has ended."""
    close: tuple[T, ...] = ()
    """Have not started and are superseded: to be ended without being run."""


@dataclass(slots=True)
class _Lane(Generic[T]):
    head: T | None = None
    started: bool = False
    waiting: deque[T] = field(default_factory=deque)


class Lanes(Generic[T]):
    """The work of all documents that is known here.

    A lane's head is either ready or running; all that waits behind it has the newest order.
    """

    def __init__(self, *, remembered: int = _REMEMBERED) -> None:
        self._lanes: dict[str, _Lane[T]] = {}
        self._newest: OrderedDict[str, Order] = OrderedDict()
        self._remembered = remembered

    def __len__(self) -> int:
        return len(self._lanes)

    def offer(self, key: str, item: T, order: Order) -> Offer[T]:
        """Take in work of the document ``key``."""
        newest = self._newest.get(key)
        if newest is not None and order < newest:
            return Offer(close=(item,))
        self._remember(key, order)
        lane = self._lanes.setdefault(key, _Lane())
        if newest is None or order == newest:
            return self._append(lane, item)
        return self._replace(lane, item)

    def start(self, key: str, item: T) -> None:
        """Note that the ready head runs now."""
        lane = self._lanes[key]
        if lane.head is not item:
            raise ValueError("only the head of a lane may start")
        lane.started = True

    def end(self, key: str, item: T) -> T | None:
        """Take out what has ended; return what is ready now, if its end freed the lane."""
        lane = self._lanes.get(key)
        if lane is None or lane.head is not item:
            return None
        lane.head = lane.waiting.popleft() if lane.waiting else None
        lane.started = False
        if lane.head is None:
            del self._lanes[key]
        return lane.head

    def discard(self, key: str, item: T) -> T | None:
        """Take out what is not to run any more; return what is ready now, if that freed the lane.

        An item that runs, or is not there, stays as it is.
        """
        lane = self._lanes.get(key)
        if lane is None:
            return None
        if lane.head is item:
            return None if lane.started else self.end(key, item)
        if item in lane.waiting:
            lane.waiting.remove(item)
        return None

    def keep_running(self) -> None:
        """Forget all that has not started. What runs holds its lane until it has ended."""
        for key, lane in list(self._lanes.items()):
            lane.waiting.clear()
            if not lane.started:
                del self._lanes[key]

    @staticmethod
    def _append(lane: _Lane[T], item: T) -> Offer[T]:
        if lane.head is None:
            lane.head = item
            return Offer(ready=item)
        lane.waiting.append(item)
        return Offer()

    @staticmethod
    def _replace(lane: _Lane[T], item: T) -> Offer[T]:
        stale = tuple(lane.waiting)
        lane.waiting.clear()
        if lane.head is not None and lane.started:
            lane.waiting.append(item)
            return Offer(stop=lane.head, close=stale)
        if lane.head is not None:
            stale = (lane.head, *stale)
        lane.head = item
        return Offer(ready=item, close=stale)

    def _remember(self, key: str, order: Order) -> None:
        self._newest[key] = order
        self._newest.move_to_end(key)
        # A forgotten document costs work that the index's fence then refuses, nothing else; one
        # with a lane is in use, hence at the young end or bounded by admission.
        while len(self._newest) > self._remembered:
            self._newest.popitem(last=False)
