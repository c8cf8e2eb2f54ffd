"""The end of a worker: what runs is finished and committed, so that nothing is done twice."""

import asyncio
from typing import Final, Protocol

from kartoteka_runtime.health import Health
from kartoteka_runtime.logs import get_logger

__all__ = ["Drainable", "JobLog", "drain"]

_log = get_logger(__name__)

_COMMIT_SECONDS: Final = 10.0


class Drainable(Protocol):
    """The dispatcher, as far as stopping goes."""

    @property
    def running(self) -> int:
        """Tasks under way."""
        ...

    async def drain(self, seconds: float) -> int:
        """Start nothing more, finish what runs; return how many were cancelled."""
        ...


class JobLog(Protocol):
    """The job topics, as far as stopping goes."""

    def pause(self) -> None:
        """Fetch nothing more."""
        ...

    async def commit(self) -> None:
        """Commit what was acknowledged."""
        ...

    async def stop(self) -> None:
        """Leave the group."""
        ...


async def drain(work: Drainable, log: JobLog, health: Health, *, seconds: float) -> None:
    """Finish what runs within ``seconds``, commit, cancel the rest, leave the group."""
    health.hold("draining", "the worker is about to stop")
    _log.info("draining", running=work.running, seconds=seconds)
    log.pause()
    killed = await work.drain(seconds)
    try:
        await asyncio.wait_for(log.commit(), _COMMIT_SECONDS)
    except TimeoutError:  # the broker is away: what ended is delivered again, and found done
        _log.warning("drain_commit_late", seconds=_COMMIT_SECONDS)
    _log.info("drained", cancelled=killed)
    await log.stop()
