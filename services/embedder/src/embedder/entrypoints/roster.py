"""The tickets that are here, by their record and by their task."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

from embedder.domain.job import Job
from embedder.domain.window import Place
from embedder.entrypoints.ticket import Ticket
from kartoteka_contracts.events import TaskCancellationRequested

__all__ = ["Roster"]

_Id: TypeAlias = tuple[Place, int]
_Task: TypeAlias = tuple[str, str]


class Roster:
    """One ticket for each record; a task may have several."""

    def __init__(self) -> None:
        self._by_record: dict[_Id, Ticket] = {}
        self._by_task: defaultdict[_Task, set[Ticket]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._by_record)

    def __contains__(self, record: _Id) -> bool:
        return record in self._by_record

    def __iter__(self) -> Iterator[Ticket]:
        """Give all, as they are now: tickets may come and go meanwhile."""
        return iter(tuple(self._by_record.values()))

    def add(self, ticket: Ticket) -> None:
        """Take one in; it takes the place of another one of the same record."""
        self._by_record[ticket.delivery.id] = ticket
        task = _task(ticket)
        if task is not None:
            self._by_task[task].add(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Forget one; one that is not here is fine."""
        if self._by_record.get(ticket.delivery.id) is ticket:
            del self._by_record[ticket.delivery.id]
        task = _task(ticket)
        if task is not None and task in self._by_task:
            self._by_task[task].discard(ticket)
            if not self._by_task[task]:
                del self._by_task[task]

    def get(self, record: _Id) -> Ticket | None:
        """Return the ticket of a record."""
        return self._by_record.get(record)

    def lists(self, ticket: Ticket) -> bool:
        """Return whether this very ticket is here."""
        return self._by_record.get(ticket.delivery.id) is ticket

    def cancelled_by(self, request: TaskCancellationRequested) -> tuple[Ticket, ...]:
        """Return the tickets of the work that is to be cancelled."""
        return tuple(self._by_task.get((request.key, request.task_id), ()))


def _task(ticket: Ticket) -> _Task | None:
    """Return the task whose work a ticket is; None where it is none."""
    if not isinstance(ticket.read, Job):
        return None
    event = ticket.read.event
    if isinstance(event, TaskCancellationRequested):
        return None
    return (event.key, event.task_id)
