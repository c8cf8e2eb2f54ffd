"""A ticket: one record on its way through the dispatcher."""

import asyncio
from contextvars import Context
from dataclasses import dataclass, field

from structlog.contextvars import bind_contextvars

from embedder.domain.admission import Work, work_of
from embedder.domain.delivery import Delivery
from embedder.domain.job import DocumentEvent, Job, Lease, RunEvent
from kartoteka_contracts.codec import decode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import EventError, MalformedEventError

__all__ = ["Ticket"]


@dataclass(slots=True, eq=False)
class Ticket:
    """One record that is let in, waits, runs or is being closed."""

    delivery: Delivery
    """The newest delivery of the record: an adopted task has a newer one than it began with."""
    work: Work
    read: Job | EventError
    """What the record's value says, or why it cannot be read."""
    lease: Lease = field(default_factory=Lease)
    task: asyncio.Task[None] | None = None
    """None until it runs or is closed."""
    is_admitted: bool = False
    is_running: bool = False
    """Has a slot; otherwise a task is one that closes it."""
    is_superseded: bool = False
    is_cancelled: bool = False
    """Its task is to end as cancelled."""
    is_lost: bool = False
    """Cancelled, to be delivered again: to another worker, or after a restart."""
    began: float = 0.0

    @classmethod
    def of(cls, delivery: Delivery) -> "Ticket":
        """Read a delivery's value."""
        return cls(delivery=delivery, work=work_of(delivery.place), read=_read(delivery))

    @property
    def job(self) -> Job:
        """The job.

        Raises:
            TypeError: the record cannot be read.
        """
        if isinstance(self.read, EventError):
            raise TypeError("a record that cannot be read has no job")
        return self.read

    @property
    def end(self) -> str:
        """How it has ended, for the metrics."""
        if self.is_cancelled:
            return "cancelled"
        return "superseded" if self.is_superseded else "ended"

    def stop(self, reason: str) -> None:
        """Take the right to go on away, and cancel what is under way."""
        self.lease.end(reason)
        if self.task is not None:
            self.task.cancel()

    @property
    def context(self) -> dict[str, str | int]:
        """What every log line about it names."""
        origin = self.delivery.record.origin
        where: dict[str, str | int] = {
            "topic": origin.topic,
            "partition": origin.partition,
            "offset": origin.offset,
        }
        if isinstance(self.read, EventError):
            return where
        event = self.read.event
        return where | {
            "task_id": event.task_id,
            "cabinet_id": event.cabinet_id,
            "document_id": self.read.document_id or "",
            "version": self.read.version or 0,
            "attempt": self.read.envelope.attempt,
        }

    def told(self) -> Context:
        """Return a context in which every log line names it, and nothing else."""
        context = Context()
        context.run(bind_contextvars, **self.context)
        return context

    @property
    def not_before_ms(self) -> int:
        """Milliseconds since the epoch before which it must not start; 0 for at once."""
        return 0 if isinstance(self.read, EventError) else self.read.envelope.not_before_ms or 0

    def adopt(self, delivery: Delivery) -> bool:
        """Go on for a redelivery of the same record; False where this is not possible."""
        if self.is_lost or self.delivery.digest != delivery.digest:
            return False
        self.delivery = delivery
        return True


def _read(delivery: Delivery) -> Job | EventError:
    record = delivery.record
    try:
        event = decode(record.value)
        # Each on its own topic only: its class says who waits for whom, and which slots it takes.
        is_run = work_of(delivery.place) is Work.REINDEX
        if not isinstance(event, RunEvent if is_run else DocumentEvent):
            raise MalformedEventError(f"{event.type!r} is no work for {record.origin.topic}")
    except EventError as error:
        return error
    return Job(record=record, event=event, envelope=Envelope.from_headers(record.headers))
