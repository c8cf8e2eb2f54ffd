"""How long to wait before the next try."""

import random
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential delays with jitter, in seconds.

    ``jitter`` is the share of a delay that is random: 0 is exact, 1 is anything from 0 to full.
    """

    base: float
    factor: float = 2.0
    limit: float = 30.0
    jitter: float = 0.5

    def delay(self, attempt: int, *, chance: float | None = None) -> float:
        """Return the seconds to wait after failure number ``attempt`` (0 is the first).

        Args:
            attempt: failures before this one.
            chance: where in the jitter's range to land, 0 to 1; random when left out. A caller
                that needs the same delay again derives it from an id.
        """
        # The exponent is capped so that no float overflows after days of failures.
        full = min(self.limit, self.base * self.factor ** min(max(attempt, 0), 64))
        # Jitter spreads retries; nobody gains from predicting it.
        roll = random.random() if chance is None else chance  # noqa: S311
        return full * (1 - self.jitter * (1 - roll))
