"""A record on its way in, and how to let go of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from embedder.domain.job import RawRecord
from embedder.domain.window import Place

__all__ = ["Delivery"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of a record: the same record may come again in a later generation."""

    record: RawRecord
    generation: int
    """The generation of the consumer group that it was fetched in."""
    acknowledge: Callable[[], Awaitable[None]]
    """Let the offset be committed. Does nothing once the generation is over."""

    @property
    def place(self) -> Place:
        """The partition that it came from."""
        return Place(self.record.origin.topic, self.record.origin.partition)

    @property
    def offset(self) -> int:
        """Its offset there."""
        return self.record.origin.offset

    @property
    def id(self) -> tuple[Place, int]:
        """Where the record lies: equal for every delivery of it."""
        return (self.place, self.offset)

    @property
    def size(self) -> int:
        """Bytes of its content."""
        record = self.record
        headers = sum(len(name) + len(value) for name, value in record.headers)
        return len(record.key or b"") + len(record.value or b"") + headers

    @property
    def digest(self) -> int:
        """Hash of its content, within this process: a topic made anew uses its offsets again."""
        record = self.record
        return hash((record.key, record.value, record.headers))
