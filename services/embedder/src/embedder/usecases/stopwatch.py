from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from kartoteka_contracts.tasks import Stage

__all__ = ["Stopwatch"]


class Stopwatch:
    """Wall-clock seconds of one try, by stage."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: Stage) -> Iterator[None]:
        """Count what runs inside towards a stage."""
        begun = self._monotonic()
        try:
            yield
        finally:
            self.add({stage: self._monotonic() - begun})

    def add(self, seconds: Mapping[str, float]) -> None:
        """Count seconds that were measured elsewhere."""
        for stage, more in seconds.items():
            self._seconds[stage] = self._seconds.get(stage, 0.0) + more

    @property
    def seconds(self) -> dict[str, float]:
        """The sums so far, in milliseconds' precision."""
        return {stage: round(seconds, 3) for stage, seconds in self._seconds.items()}
