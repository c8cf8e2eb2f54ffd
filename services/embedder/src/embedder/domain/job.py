"""A job: one delivered piece of document work, and the right to go on with it."""

from dataclasses import dataclass

from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.events import DocumentSubmitted

__all__ = ["Job", "Lease", "Origin", "RawRecord"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRecord:
    """A record as Kafka delivered it."""

    origin: Origin
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A record that could be read."""

    record: RawRecord
    event: DocumentSubmitted
    envelope: Envelope

    @property
    def order(self) -> tuple[int, int]:
        """(version, epoch): the higher work wins."""
        return (self.event.version, self.event.epoch)


class Lease:
    """The right to go on with a job.

    It ends when newer work of the document arrives here, or its
    partition goes to another worker; the index's fence stays the last word.
    """

    def __init__(self) -> None:
        self._ended: str | None = None

    @property
    def ended(self) -> str | None:
        """Why the work must stop; None while it may go on."""
        return self._ended

    def end(self, reason: str) -> None:
        """End it. The first reason stays."""
        self._ended = self._ended or reason
