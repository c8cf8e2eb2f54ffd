"""Word of changed tasks, from the view to whoever listens in this process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import TaskId

__all__ = ["Listener", "TaskChanges"]


class Listener:
    """One listener's memory: whether its task changed since it last asked."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Remember that the task changed."""
        self._event.set()

    async def changed(self, *, within: float) -> bool:
        """Wait for a change since the last call; False after ``within`` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class TaskChanges:
    """Listeners by task, at most so many of them.

    Args:
        limit: listeners at once; each is an open connection.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._listeners: defaultdict[TaskId, set[Listener]] = defaultdict(set)
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the process is about to stop, so that listeners must leave."""
        return self._closed

    def close(self) -> None:
        """Wake every listener for the last time; nobody may listen from now on."""
        self._closed = True
        self.tell_all()

    def tell(self, tasks: Iterable[TaskId]) -> None:
        """Wake the listeners of tasks that changed."""
        for task_id in tasks:
            for listener in self._listeners.get(task_id, ()):
                listener.tell()

    def tell_all(self) -> None:
        """Wake everybody: what they know may be outdated."""
        self.tell(tuple(self._listeners))

    @contextmanager
    def subscribe(self, task_id: TaskId) -> Iterator[Listener]:
        """Listen to a task.

        Raises:
            UnavailableError: ``overloaded`` or ``shutting_down``.
        """
        if self._closed:
            raise UnavailableError("shutting_down")
        if self._count >= self._limit:
            raise UnavailableError("overloaded", "too many listeners; poll the task instead")
        listener = Listener()
        self._count += 1
        self._listeners[task_id].add(listener)
        try:
            yield listener
        finally:
            self._count -= 1
            self._listeners[task_id].discard(listener)
            if not self._listeners[task_id]:
                del self._listeners[task_id]
