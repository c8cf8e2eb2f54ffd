"""The tickets that are here before their time."""

from collections.abc import Callable

from embedder.domain.admission import Limits, Work
from embedder.domain.due import Due
from embedder.entrypoints.ticket import Ticket

__all__ = ["Waiting"]


class Waiting:
    """Retries of documents, and steps of reindex runs that look again later.

    Each kind has its own room and its own way in, so that neither is late because of the other.

    Args:
        limits: of either kind.
        admits: whether one more of a class may come in now.
    """

    def __init__(self, limits: Limits, admits: Callable[[Work], bool]) -> None:
        self._admits = admits
        self._kinds: dict[Work, Due[Ticket]] = {
            work: Due(capacity=limits.held, size=limits.held_bytes)
            for work in (Work.RETRY, Work.REINDEX)
        }

    def __len__(self) -> int:
        return sum(len(due) for due in self._kinds.values())

    def has_room(self, ticket: Ticket) -> bool:
        """Return whether one more of its kind can be kept."""
        return not self._of(ticket).is_full

    def hold(self, ticket: Ticket) -> None:
        """Keep one until it is due.

        Raises:
            OverflowError: there is no room.
        """
        size = len(ticket.delivery.record.value or b"")
        self._of(ticket).hold(ticket, due_ms=ticket.not_before_ms, size=size)

    def pop(self, now_ms: int) -> Ticket | None:
        """Return one that is due and may come in; None where there is none."""
        for work, due in self._kinds.items():
            if self._admits(work) and (ticket := due.pop(now_ms)) is not None:
                return ticket
        return None

    @property
    def next_ms(self) -> int | None:
        """When the first that may come in is due, in milliseconds since the epoch."""
        times = [due.next_ms for work, due in self._kinds.items() if self._admits(work)]
        return min((time for time in times if time is not None), default=None)

    def discard(self, ticket: Ticket) -> bool:
        """Take one out before it is due; False where it is not here."""
        return self._of(ticket).discard(ticket)

    def clear(self) -> None:
        """Forget all."""
        for due in self._kinds.values():
            due.clear()

    def _of(self, ticket: Ticket) -> Due[Ticket]:
        return self._kinds[Work.REINDEX if ticket.work is Work.REINDEX else Work.RETRY]
