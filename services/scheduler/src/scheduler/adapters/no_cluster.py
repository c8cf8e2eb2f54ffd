"""In the place of Kubernetes where there is none: one scheduler, and its log."""

from typing import Final

from kartoteka_runtime.logs import get_logger

__all__ = ["LogJournal", "NoLock"]

_log = get_logger(__name__)

_LONG_SECONDS: Final = 24 * 3600.0


class NoLock:
    """Always ours: whoever runs without a cluster runs one scheduler, or does some work twice."""

    @property
    def seconds(self) -> float:
        """Long: nobody takes it."""
        return _LONG_SECONDS

    async def acquire(self) -> bool:
        """Say that it is ours."""
        return True

    async def release(self) -> None:
        """Do nothing."""


class LogJournal:
    """Tells the log."""

    async def emitted(self, cabinets: int) -> None:
        """Tell how many cabinets' runs were asked for."""
        _log.info("slots_emitted", cabinets=cabinets)
