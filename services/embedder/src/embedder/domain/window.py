"""The order in which records may be acknowledged: per partition, by offset, over no gap.

A consumer group's offset says "everything below is done", so a record that is done early waits for
all before it.
"""

from collections import deque
from typing import NamedTuple

__all__ = ["Place", "Window", "Windows"]


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Window:
    """What one partition has delivered in one generation and is not yet released."""

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._undone: set[int] = set()
        self._last = -1

    def __len__(self) -> int:
        return len(self._order)

    @property
    def head(self) -> int | None:
        """The offset that all others wait for."""
        return self._order[0] if self._order else None

    def open(self, offset: int) -> bool:
        """Take in the next offset; False where it was delivered before in this generation."""
        if offset <= self._last:
            return False
        self._last = offset
        self._order.append(offset)
        self._undone.add(offset)
        return True

    def finish(self, offset: int) -> tuple[int, ...]:
        """Mark one as done and return what is released by it, in order.

        An offset that is unknown or done already releases nothing.
        """
        self._undone.discard(offset)
        released: list[int] = []
        while self._order and self._order[0] not in self._undone:
            released.append(self._order.popleft())
        return tuple(released)


class Windows:
    """The windows of all partitions, in the current generation only."""

    def __init__(self) -> None:
        self.generation = -1
        """The generation whose deliveries count; -1 before the first."""
        self._windows: dict[Place, Window] = {}

    def turn(self, generation: int) -> None:
        """Begin a generation: whatever was delivered and not committed comes again."""
        self.generation = generation
        self._windows.clear()

    def open(self, place: Place, offset: int) -> bool:
        """Take in a delivery of the current generation; False where it came before."""
        return self._windows.setdefault(place, Window()).open(offset)

    def finish(self, place: Place, offset: int, *, generation: int) -> tuple[int, ...]:
        """Mark a delivery as done and return the offsets that may be acknowledged now.

        A delivery of another generation releases nothing.
        """
        window = self._windows.get(place)
        if window is None or generation != self.generation:
            return ()
        return window.finish(offset)

    def heads(self) -> dict[Place, int]:
        """Return the offset that each partition waits for."""
        return {
            place: head
            for place, window in self._windows.items()
            if (head := window.head) is not None
        }

    def size(self, topic: str) -> int:
        """Return how many records of a topic are delivered and not released."""
        return sum(len(window) for place, window in self._windows.items() if place.topic == topic)
