"""Ordered acknowledgement: the only place that lets go of a record."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Collection
from typing import Final

from embedder.domain.delivery import Delivery
from embedder.domain.window import Place, Windows

__all__ = ["Acks"]

_REMEMBERED: Final = 20_000


class Acks:
    """Acknowledges what has ended, per partition, in the order of offsets, over no gap.

    The client commits over a record that is still running if it sees acknowledgements out of
    order, so it never sees any.
    """

    def __init__(self) -> None:
        self._windows = Windows()
        self._deliveries: dict[tuple[Place, int], Delivery] = {}
        self._bytes: Counter[str] = Counter()
        self._settled: OrderedDict[tuple[Place, int], int] = OrderedDict()
        self._queue: deque[Delivery] = deque()
        self._changed = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.released = 0
        """Acknowledgements so far."""

    @property
    def generation(self) -> int:
        """The generation whose deliveries count."""
        return self._windows.generation

    def turn(self, generation: int, places: Collection[Place]) -> None:
        """Begin a generation with these partitions."""
        self._windows.turn(generation)
        self._deliveries.clear()
        self._bytes.clear()
        self._queue.clear()
        self._empty.set()
        for place, offset in list(self._settled):
            if place not in places:
                del self._settled[place, offset]

    def open(self, delivery: Delivery) -> bool:
        """Take in a delivery; False where it is of another generation, or came before in this."""
        if delivery.generation != self._windows.generation:
            return False
        if not self._windows.open(delivery.place, delivery.offset):
            return False
        self._deliveries[delivery.id] = delivery
        self._bytes[delivery.place.topic] += delivery.size
        return True

    def was_settled(self, delivery: Delivery) -> bool:
        """Return whether its work ended here already, and only the commit was lost."""
        return self._settled.get(delivery.id) == delivery.digest

    def settle(self, delivery: Delivery) -> None:
        """Note that its outcome is durable; acknowledge what that releases."""
        self._settled[delivery.id] = delivery.digest
        while len(self._settled) > _REMEMBERED:
            self._settled.popitem(last=False)
        released = self._windows.finish(
            delivery.place, delivery.offset, generation=delivery.generation
        )
        for offset in released:
            let_go = self._deliveries.pop((delivery.place, offset))
            self._bytes[delivery.place.topic] -= let_go.size
            self._queue.append(let_go)
        if released:
            self._empty.clear()
            self._changed.set()

    def heads(self) -> dict[Place, int]:
        """Return the offset that each partition waits for."""
        return self._windows.heads()

    def size(self, topic: str) -> int:
        """Return how many records of a topic wait to be released."""
        return self._windows.size(topic)

    def held_bytes(self, topic: str) -> int:
        """Return how many bytes those records have."""
        return self._bytes[topic]

    async def run(self) -> None:
        """Acknowledge one after the other, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._queue:
                delivery = self._queue.popleft()
                if delivery.generation == self._windows.generation:
                    await delivery.acknowledge()
                    self.released += 1
            self._empty.set()

    async def flush(self) -> None:
        """Return when all that may be acknowledged has been."""
        await self._empty.wait()
