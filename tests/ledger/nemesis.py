"""Does harm: a seeded stream of faults, every kind in turn, some of them at once."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from tests.ledger.book import Accepted
from tests.ledger.faults import FAULTS, targets_of
from tests.ledger.plant import Plant
from tests.ledger.replica import Replica

__all__ = ["Harmed", "Nemesis", "NemesisPlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NemesisPlan:
    """Which harm, and how often."""

    seed: int
    gap: tuple[float, float] = (2.0, 8.0)
    """Seconds between the begins of two faults."""
    overlap: float = 0.2
    """The share of faults that begin though another goes on."""
    weights: Mapping[str, int] = field(
        default_factory=lambda: {kind: fault.weight for kind, fault in FAULTS.items()}
    )
    targets: frozenset[str] = frozenset()
    """Names of all that may be hit; empty for everything."""
    kill_after_accept: float = 0.0
    """The share of accepting answers at which their replica is killed, at once."""


@dataclass(slots=True, kw_only=True)
class Harmed:
    """One fault. Times are monotonic seconds."""

    kind: str
    target: str
    begun: float
    healed: float | None = None
    recovered: float | None = None
    """When a document was first seen to succeed that was sent after the fault began."""


class Nemesis:
    """Runs faults until told to stop."""

    def __init__(self, plan: NemesisPlan, plant: Plant) -> None:
        self._plan = plan
        self._plant = plant
        self._random = Random(f"{plan.seed}/nemesis")
        self._kills = Random(f"{plan.seed}/kills")
        self._running: set[asyncio.Task[None]] = set()
        self._is_over = asyncio.Event()
        self._deck: list[str] = []
        self._errors: list[BaseException] = []
        self.harmed: list[Harmed] = []

    def end(self) -> None:
        """Begin no more."""
        self._is_over.set()

    async def run(self) -> None:
        """Do harm until :meth:`end`, then wait until all of it is undone."""
        while not self._is_over.is_set():
            await self._rest(self._random.uniform(*self._plan.gap))
            may_overlap = self._random.random() < self._plan.overlap
            while self._running and not may_overlap and not self._is_over.is_set():
                await asyncio.wait(self._running, timeout=0.1)
            if not self._is_over.is_set():
                self._begin()
        if self._running:
            await asyncio.wait(self._running)
        if self._errors:
            raise self._errors[0]

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._is_over.wait(), seconds)
        except TimeoutError:
            return

    def _begin(self) -> None:
        kind = self._draw()
        if kind is None:
            return
        targets = targets_of(self._plant, FAULTS[kind].of)
        free = [target for target in targets if self._may_hit(target)]
        if free:
            self._start(kind, self._random.choice(free))

    def _may_hit(self, target: str) -> bool:
        is_meant = not self._plan.targets or target in self._plan.targets
        return is_meant and target not in self._plant.held

    def _draw(self) -> str | None:
        """Return the next kind: a shuffled round of all, then another."""
        if not self._deck:
            self._deck = [
                kind
                for kind, weight in self._plan.weights.items()
                for _ in range(weight)
                if targets_of(self._plant, FAULTS[kind].of)
            ]
            self._random.shuffle(self._deck)
        return self._deck.pop() if self._deck else None

    def _start(self, kind: str, target: str) -> None:
        harmed = Harmed(kind=kind, target=target, begun=time.monotonic())
        self.harmed.append(harmed)
        self._plant.held.add(target)
        self._plant.ledger.note("fault", kind=kind, target=target)
        task = asyncio.create_task(self._harm(harmed))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._errors.append(error)

    async def _harm(self, harmed: Harmed) -> None:
        random = Random(f"{self._plan.seed}/{len(self.harmed)}")
        try:
            await FAULTS[harmed.kind].harm(self._plant, harmed.target, random)
        finally:
            harmed.healed = time.monotonic()
            self._plant.held.discard(harmed.target)
            self._plant.ledger.note("healed", kind=harmed.kind, target=harmed.target)

    def accepted(self, replica: Replica) -> None:
        """A replica has just answered 202: the moment at which all must be durable."""
        is_due = self._kills.random() < self._plan.kill_after_accept
        if is_due and replica.name not in self._plant.held and not self._is_over.is_set():
            self._start("kill api", replica.name)

    def succeeded(self, accepted: Accepted) -> None:
        """A document was sent, indexed and seen to be: whatever was broken before works again."""
        for harmed in self.harmed:
            if harmed.recovered is None and harmed.begun < accepted.asked_at:
                harmed.recovered = time.monotonic()
