"""Who is let in, and who runs next."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, Generic, TypeVar

from embedder.domain.window import Place
from kartoteka_contracts.topics import JOB_TOPICS

__all__ = ["WORK_TOPICS", "Admission", "Limits", "Turns", "Work", "work_of"]

T = TypeVar("T", bound=Hashable)

_STREAK: Final = 4
"""Interactive starts in a row after which other work that waits gets one."""


@unique
class Work(StrEnum):
    """Classes of work, one for each topic that a worker reads."""

    INTERACTIVE = "interactive"
    BULK = "bulk"
    RETRY = "retry"
    REINDEX = "reindex"
    """Steps of reindex runs: they compare and send, and leave the documents to the others."""


WORK_TOPICS: Final = (*JOB_TOPICS, "cabinets.reindex")
"""What a worker reads: the topics of document work, and that of reindex runs."""


def work_of(place: Place) -> Work:
    """Return the class of what comes from a topic.

    Raises:
        ValueError: it is none that a worker reads.
    """
    return Work(place.topic.rpartition(".")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one process takes on."""

    interactive: int = 256
    """Interactive records let in and not ended."""
    bulk: int = 128
    """Bulk records let in and not ended."""
    retry: int = 128
    """Retries let in and not ended; those not yet due are held outside."""
    reindex: int = 16
    """Steps of reindex runs let in and not ended; those not yet due are held outside."""
    running: int = 64
    """Documents in flight."""
    reserved: int = 16
    """Of those, kept for interactive work."""
    planning: int = 2
    """Steps of reindex runs at once, in slots of their own: neither they nor documents wait for
    the other."""
    held: int = 10_000
    """Retries that wait for their time; as many steps of reindex runs."""
    held_bytes: int = 64 * 1024 * 1024
    """Bytes of values that either may take together."""
    unacknowledged: int = 20_000
    """Records of one topic that were delivered and wait for an older one to end."""
    unacknowledged_bytes: int = 64 * 1024 * 1024
    """Bytes of their content; the record that reaches it is the last one let in."""

    def admitted(self, work: Work) -> int:
        """Return the limit of a class."""
        match work:
            case Work.INTERACTIVE:
                return self.interactive
            case Work.BULK:
                return self.bulk
            case Work.RETRY:
                return self.retry
            case Work.REINDEX:
                return self.reindex


class Admission:
    """Counts what was let in, by class."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._inside: dict[Work, int] = dict.fromkeys(Work, 0)

    def admits(self, work: Work) -> bool:
        """Return whether one more of a class may come in."""
        return self._inside[work] < self._limits.admitted(work)

    def enter(self, work: Work) -> None:
        """Let one in."""
        self._inside[work] += 1

    def leave(self, work: Work) -> None:
        """Let one out."""
        self._inside[work] -= 1

    def inside(self, work: Work) -> int:
        """Return how many of a class are in."""
        return self._inside[work]


class _Queue(Generic[T]):
    """First in, first out within a cabinet; cabinets take turns."""

    def __init__(self) -> None:
        self._cabinets: OrderedDict[int, deque[T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._cabinets)

    def put(self, cabinet: int, item: T) -> None:
        self._cabinets.setdefault(cabinet, deque()).append(item)

    def next(self) -> T:
        cabinet, items = self._cabinets.popitem(last=False)
        item = items.popleft()
        if items:
            self._cabinets[cabinet] = items
        return item

    def discard(self, cabinet: int, item: T) -> None:
        items = self._cabinets.get(cabinet)
        if items is None or item not in items:
            return
        items.remove(item)
        if not items:
            del self._cabinets[cabinet]

    def clear(self) -> None:
        self._cabinets.clear()


class Turns(Generic[T]):
    """Chooses what starts: interactive first, the rest never starved, cabinets in turn."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._queues: dict[Work, _Queue[T]] = {work: _Queue() for work in Work}
        self._running: dict[Work, int] = dict.fromkeys(Work, 0)
        self._streak = 0
        self._others: deque[Work] = deque((Work.RETRY, Work.BULK))

    def put(self, work: Work, cabinet: int, item: T) -> None:
        """Queue what may start."""
        self._queues[work].put(cabinet, item)

    def discard(self, work: Work, cabinet: int, item: T) -> None:
        """Take it out of the queue again, if it is there."""
        self._queues[work].discard(cabinet, item)

    def clear(self) -> None:
        """Empty the queues; what runs still counts."""
        for queue in self._queues.values():
            queue.clear()

    def next(self) -> T | None:
        """Return what starts now, and count it as running; None while nothing may."""
        work = self._choose()
        if work is None:
            return None
        self._running[work] += 1
        return self._queues[work].next()

    def end(self, work: Work) -> None:
        """Free the slot of one that ran."""
        self._running[work] -= 1

    def running(self, work: Work) -> int:
        """Return how many of a class run."""
        return self._running[work]

    def _choose(self) -> Work | None:
        planning = self._running[Work.REINDEX]
        if self._queues[Work.REINDEX] and planning < self._limits.planning:
            return Work.REINDEX
        if sum(self._running.values()) - planning >= self._limits.running:
            return None
        other = self._choose_other()
        if self._queues[Work.INTERACTIVE] and (other is None or self._streak < _STREAK):
            self._streak = 0 if other is None else self._streak + 1
            return Work.INTERACTIVE
        if other is not None:
            self._streak = 0
            self._others.remove(other)
            self._others.append(other)
        return other

    def _choose_other(self) -> Work | None:
        running = self._running[Work.BULK] + self._running[Work.RETRY]
        if running >= self._limits.running - self._limits.reserved:
            return None
        return next((work for work in self._others if self._queues[work]), None)
