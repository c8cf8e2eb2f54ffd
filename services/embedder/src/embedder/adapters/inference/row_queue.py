"""Rows on their way from callers on the event loop to the one thread that runs the model."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from embedder.domain.batching import BatchPolicy
from embedder.domain.parsed import TokenIds
from embedder.domain.vectors import Vectors
from kartoteka_runtime.clock import Clock

__all__ = ["Row", "RowQueue", "Slice"]

_LINGER_STEP_SECONDS: Final = 0.01
_LOOK_UP_SECONDS: Final = 1.0


@dataclass(slots=True, kw_only=True, eq=False)
class Slice:
    """Some rows of one caller, that end together."""

    rows: Sequence[TokenIds]
    """Whole inputs of the model."""
    out: Vectors
    """Where the thread writes; one row each."""
    done: asyncio.Future[None]
    urgent: bool
    queued_at: float
    left: int = field(init=False)
    """Rows without a vector. Only the thread changes it."""
    dropped: bool = False
    """Nobody waits any more: rows not yet run are left out."""

    def __post_init__(self) -> None:
        self.left = len(self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One input of one caller."""

    slice: Slice
    place: int

    @property
    def tokens(self) -> TokenIds:
        """What the model is to read."""
        return self.slice.rows[self.place]


class RowQueue:
    """Two lines: urgent rows, and the rest. Bounded by its callers, who hold permits.

    Args:
        policy: how many rows make a window, and how long to wait for them.
        clock: tells how long the oldest row has waited.
        expecting: whether more rows are about to come, so that waiting for them pays.
    """

    def __init__(self, policy: BatchPolicy, clock: Clock, expecting: Callable[[], bool]) -> None:
        self._policy = policy
        self._clock = clock
        self._expecting = expecting
        self._changed = threading.Condition()
        self._urgent: deque[Row] = deque()
        self._rest: deque[Row] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._urgent) + len(self._rest)

    @property
    def closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._closed

    def put(self, piece: Slice) -> bool:
        """Add rows; False where the queue is closed."""
        with self._changed:
            if self._closed:
                return False
            line = self._urgent if piece.urgent else self._rest
            line.extend(Row(piece, place) for place in range(len(piece.rows)))
            self._changed.notify()
            return True

    def drop(self, piece: Slice) -> None:
        """Take back the rows of a caller that has gone."""
        with self._changed:
            piece.dropped = True
            self._urgent = deque(row for row in self._urgent if row.slice is not piece)
            self._rest = deque(row for row in self._rest if row.slice is not piece)

    def take(self) -> list[Row] | None:
        """Wait for a window of rows, all urgent or none; None once the queue is closed.

        Also None once the main thread has ended without closing it: the interpreter waits for the
        thread that is here, and would wait for ever.
        """
        with self._changed:
            while not self._closed and threading.main_thread().is_alive():
                if self._urgent:
                    return self._window(self._urgent)
                if not self._rest:
                    self._changed.wait(_LOOK_UP_SECONDS)
                elif (seconds := self._linger()) > 0:
                    self._changed.wait(min(seconds, _LINGER_STEP_SECONDS))
                else:
                    return self._window(self._rest)
            return None

    def take_urgent(self) -> list[Row]:
        """Return what must not wait for the window under way, at most a window of it."""
        with self._changed:
            return self._window(self._urgent) if not self._closed else []

    def close(self) -> list[Slice]:
        """Take nothing more, and return whose rows were not taken."""
        with self._changed:
            self._closed = True
            left = {id(row.slice): row.slice for row in (*self._urgent, *self._rest)}
            self._urgent.clear()
            self._rest.clear()
            self._changed.notify_all()
            return list(left.values())

    def _linger(self) -> float:
        if len(self._rest) >= self._policy.window_rows or not self._expecting():
            return 0.0
        waited = self._clock.monotonic() - self._rest[0].slice.queued_at
        return self._policy.linger_seconds - waited

    def _window(self, line: deque[Row]) -> list[Row]:
        return [line.popleft() for _ in range(min(len(line), self._policy.window_rows))]
