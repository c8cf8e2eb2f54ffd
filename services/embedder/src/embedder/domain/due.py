"""Retries that wait for their time."""

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Due"]

T = TypeVar("T")


@dataclass(order=True, slots=True)
class _Entry(Generic[T]):
    due_ms: int
    n: int
    item: T = field(compare=False)
    size: int = field(compare=False)


class Due(Generic[T]):
    """A bounded heap by due time; equal times keep their order.

    Args:
        capacity: entries.
        size: bytes of all entries together; one entry alone may be larger.
    """

    def __init__(self, *, capacity: int, size: int) -> None:
        self._heap: list[_Entry[T]] = []
        self._capacity = capacity
        self._size_limit = size
        self._size = 0
        self._count = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def is_full(self) -> bool:
        """Whether another entry must wait outside."""
        return len(self._heap) >= self._capacity or self._size >= self._size_limit

    @property
    def next_ms(self) -> int | None:
        """When the first is due, in milliseconds since the epoch."""
        return self._heap[0].due_ms if self._heap else None

    def hold(self, item: T, *, due_ms: int, size: int) -> None:
        """Keep one until it is due.

        Raises:
            OverflowError: it is full.
        """
        if self.is_full:
            raise OverflowError("no room for another entry")
        heapq.heappush(self._heap, _Entry(due_ms, next(self._count), item, size))
        self._size += size

    def pop(self, now_ms: int) -> T | None:
        """Return the first that is due, or None."""
        if not self._heap or self._heap[0].due_ms > now_ms:
            return None
        entry = heapq.heappop(self._heap)
        self._size -= entry.size
        return entry.item

    def discard(self, item: T) -> bool:
        """Take one out before it is due; False where it is not here."""
        for place, entry in enumerate(self._heap):
            if entry.item is item:
                self._heap[place] = self._heap[-1]
                self._heap.pop()
                heapq.heapify(self._heap)
                self._size -= entry.size
                return True
        return False

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()
        self._size = 0
