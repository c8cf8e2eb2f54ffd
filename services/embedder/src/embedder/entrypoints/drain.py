"""The end of a worker: what runs is finished and committed, so that nothing is done twice."""

from typing import Protocol

from kartoteka_runtime.health import Health
from kartoteka_runtime.logs import get_logger

__all__ = ["Drainable", "JobLog", "drain"]

_log = get_logger(__name__)


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
    await log.commit()
    _log.info("drained", cancelled=killed)
    await log.stop()
