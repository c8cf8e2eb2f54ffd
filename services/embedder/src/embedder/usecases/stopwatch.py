from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from kartoteka_contracts.tasks import Stage
from kartoteka_runtime.tracing import child, past

__all__ = ["Stopwatch"]


class Stopwatch:
    """Wall-clock seconds of one try, by stage. Each measured piece is a span of its trace."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: Stage) -> Iterator[None]:
        """Count what runs inside towards a stage."""
        begun = self._monotonic()
        try:
            with child(stage):
                yield
        finally:
            self._count(stage, self._monotonic() - begun)

    def add(self, seconds: Mapping[str, float]) -> None:
        """Count seconds that were measured elsewhere, one after the other, until just now."""
        left = sum(seconds.values())
        for stage, more in seconds.items():
            left -= more
            past(stage, seconds=more, ago=left)
            self._count(stage, more)

    def _count(self, stage: str, more: float) -> None:
        self._seconds[stage] = self._seconds.get(stage, 0.0) + more

    @property
    def seconds(self) -> dict[str, float]:
        """The sums so far, in milliseconds' precision."""
        return {stage: round(seconds, 3) for stage, seconds in self._seconds.items()}
