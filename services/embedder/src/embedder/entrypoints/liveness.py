"""What makes a worker dead: reasons to start it anew, none of them an outage elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from embedder.domain.window import Place
from embedder.entrypoints.watchdog import LoopBeat
from kartoteka_runtime.clock import Clock, SystemClock
from kartoteka_runtime.health import Health

__all__ = ["Liveness", "LivenessLimits", "Member", "Trouble", "Worklist", "no_trouble"]

_LOOK_SECONDS: Final = 5.0
_HEAD_SECONDS: Final = 60.0


Trouble = Callable[[], Awaitable[str | None]]
"""Answers with the outage that is to blame, or None."""


async def no_trouble() -> str | None:
    """Blame nothing."""
    return None


class Member(Protocol):
    """Our place in the group."""

    @property
    def is_outside(self) -> bool:
        """Whether this worker has no valid place in the group now."""
        ...

    async def broker_answers(self) -> bool:
        """Return whether a fresh connection is answered."""
        ...


class Worklist(Protocol):
    """What the dispatcher has to do."""

    @property
    def stalled_seconds(self) -> float:
        """Seconds without progress while work is pending."""
        ...

    def dead_heads(self) -> frozenset[tuple[Place, int]]:
        """Records that nothing would ever end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessLimits:
    """When to give up, in seconds."""

    lag: float = 10.0
    zombie: float = 180.0
    stall: float = 420.0


class Liveness:
    """Watches the loop, the group and the work, and answers the probe.

    Args:
        member: the place in the group.
        work: the dispatcher.
        beat: the loop's.
        limits: when to give up.
        trouble: why work cannot go forward through no fault of ours (an outage), or None. Asked
            only when nothing has gone forward for half of the limit.
        clock: the time.
    """

    def __init__(
        self,
        member: Member,
        work: Worklist,
        beat: LoopBeat,
        limits: LivenessLimits,
        *,
        trouble: Trouble = no_trouble,
        clock: Clock | None = None,
    ) -> None:
        self._member = member
        self._work = work
        self._beat = beat
        self._limits = limits
        self._trouble = trouble
        self._clock = clock or SystemClock()
        self._outside_since: float | None = None
        self._is_zombie = False
        self._dead_since: dict[tuple[Place, int], float] = {}
        self._well_at = self._clock.monotonic()

    def register(self, health: Health) -> None:
        """Make the probe ask these checks."""
        health.watch("loop", self._loop)
        health.watch("group", self._group)
        health.watch("heads", self._heads)
        health.watch("progress", self._progress)

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look again and again, for ever."""
        while True:
            await self.look()
            await sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Look once at what takes time to judge."""
        now = self._clock.monotonic()
        is_slow = self._work.stalled_seconds > self._limits.stall / 2
        if is_slow and await self._trouble() is not None:
            self._well_at = now
        dead = self._work.dead_heads()
        self._dead_since = {head: self._dead_since.get(head, now) for head in dead}
        if not self._member.is_outside:
            self._outside_since, self._is_zombie = None, False
            return
        if self._outside_since is None:
            self._outside_since = now
        if now - self._outside_since > self._limits.zombie:
            self._is_zombie = await self._member.broker_answers()

    def _loop(self) -> str | None:
        if self._beat.lag <= self._limits.lag:
            return None
        return f"the event loop is {self._beat.lag:.0f} s late"

    def _group(self) -> str | None:
        if not self._is_zombie:
            return None
        return f"outside of the group for over {self._limits.zombie:.0f} s while Kafka answers"

    def _heads(self) -> str | None:
        now = self._clock.monotonic()
        old = [head for head, since in self._dead_since.items() if now - since > _HEAD_SECONDS]
        if not old:
            return None
        (place, offset), *_ = sorted(old)
        return f"nothing will ever end {place.topic}[{place.partition}]@{offset}"

    def _progress(self) -> str | None:
        stalled = min(self._work.stalled_seconds, self._clock.monotonic() - self._well_at)
        if stalled <= self._limits.stall:
            return None
        return f"no progress for {stalled:.0f} s while work waits"
