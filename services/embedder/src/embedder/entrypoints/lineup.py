"""The line-up: who waits behind other work of the document, who for a slot, and who is next."""

from collections.abc import Callable
from dataclasses import dataclass

from embedder.domain.admission import Limits, Turns, Work
from embedder.domain.lanes import Lanes
from embedder.entrypoints.ticket import Ticket

__all__ = ["Lineup", "Overtaken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken:
    """What newer work of a document leaves behind."""

    running: Ticket | None = None
    """To be stopped; its lane is free when it has ended."""
    waiting: tuple[Ticket, ...] = ()
    """To be ended without being run; out of the line already."""


class Lineup:
    """Lanes and turns together: what is ready in its document's lane queues for a slot."""

    def __init__(self, limits: Limits) -> None:
        self._lanes: Lanes[Ticket] = Lanes()
        self._turns: Turns[Ticket] = Turns(limits)

    @property
    def running(self) -> Callable[[Work], int]:
        """How many of a class run."""
        return self._turns.running

    def join(self, ticket: Ticket) -> Overtaken:
        """Take in a job; it is ready, or waits for its document's lane, or is overtaken itself."""
        offer = self._lanes.offer(ticket.job.event.key, ticket, ticket.job.order)
        for stale in offer.close:
            self._turns.discard(stale.work, stale.job.event.cabinet_id, stale)
        if offer.ready is not None:
            self._queue(offer.ready)
        return Overtaken(running=offer.stop, waiting=offer.close)

    def next(self) -> Ticket | None:
        """Return what starts now, and count it as running; None while nothing may."""
        ticket = self._turns.next()
        if ticket is not None:
            self._lanes.start(ticket.job.event.key, ticket)
        return ticket

    def withdraw(self, ticket: Ticket) -> None:
        """Take out one that has not started; what waited for its lane is ready."""
        event = ticket.job.event
        self._turns.discard(ticket.work, event.cabinet_id, ticket)
        self._promote(self._lanes.discard(event.key, ticket))

    def free_slot(self, ticket: Ticket) -> None:
        """One that ran does so no longer; its lane stays taken."""
        self._turns.end(ticket.work)

    def free_lane(self, ticket: Ticket) -> None:
        """All is done about one; what waited for its lane is ready."""
        self._promote(self._lanes.end(ticket.job.event.key, ticket))

    def keep_running(self) -> None:
        """Forget all that has not started. What runs holds its lane until it has ended."""
        self._turns.clear()
        self._lanes.keep_running()

    def _promote(self, ready: Ticket | None) -> None:
        if ready is not None:
            self._queue(ready)

    def _queue(self, ticket: Ticket) -> None:
        self._turns.put(ticket.work, ticket.job.event.cabinet_id, ticket)
