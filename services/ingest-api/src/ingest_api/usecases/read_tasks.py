"""Look tasks up, list them, follow one."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.domain.task import Task
from ingest_api.read_ports import Changes, Freshness, TaskCatalogue, TaskPlace, TaskQuery
from kartoteka_contracts.errors import RequestError, UnavailableError
from kartoteka_contracts.ids import CabinetId, TaskId
from kartoteka_contracts.tasks import TaskStatus
from kartoteka_runtime.clock import Clock

__all__ = ["Miss", "ReadTasks", "TaskPage", "TaskWish"]

Miss = Literal["found", "absent", "behind"]
"""How a lookup of an id that was not in the view ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWish:
    """What a caller wants listed."""

    cabinet_id: CabinetId | None = None
    status: TaskStatus | None = None
    after: TaskPlace | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """Some tasks, and where the next ones begin; None at the end."""

    tasks: tuple[Task, ...]
    next: TaskPlace | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTasks:
    """What callers may ask of tasks."""

    catalogue: TaskCatalogue
    freshness: Freshness
    changes: Changes
    clock: Clock
    on_miss: Callable[[Miss], None]
    heartbeat: float
    """Seconds of silence after which a followed task sends a sign of life."""
    longest: float
    """Seconds after which following ends though the task goes on."""

    async def find(self, principal: Principal, task_id: TaskId) -> Task:
        """Return a task of one of the caller's cabinets.

        A foreign task takes the way of an unknown one, so that not even the time differs.

        Raises:
            RequestError: ``not_found``.
            UnavailableError: ``view_behind``: whether it exists is not known here yet.
        """
        task = _seen(await self.catalogue.task(task_id), principal)
        if task is not None and task.is_complete:
            return task
        try:
            await self.freshness.catch_up()
        except UnavailableError:
            self.on_miss("behind")
            raise
        task = _seen(await self.catalogue.task(task_id), principal)
        self.on_miss("absent" if task is None else "found")
        if task is None:
            raise RequestError("not_found")
        return task

    async def page(self, principal: Principal, wish: TaskWish) -> TaskPage:
        """Return tasks of the caller's cabinets, the last accepted first.

        Raises:
            RequestError: ``forbidden``: the named cabinet is not the caller's.
        """
        cabinets = principal.cabinets
        if wish.cabinet_id is not None:
            cabinet = authorise(principal, Scope.READ, wish.cabinet_id)
            cabinets = frozenset({cabinet.cabinet_id})
        query = TaskQuery(
            cabinets=cabinets, status=wish.status, after=wish.after, limit=wish.limit + 1
        )
        found = await self.catalogue.tasks(query)
        page = tuple(found[: wish.limit])
        return TaskPage(tasks=page, next=_place(page[-1]) if len(found) > len(page) else None)

    async def follow(self, principal: Principal, task_id: TaskId) -> AsyncIterator[Task | None]:
        """Yield the task as it is, then as it changes, until its end; None is a sign of life.

        States may be skipped where they follow each other quickly; none comes after a later one.

        Raises:
            RequestError: ``not_found``.
            UnavailableError: ``view_behind``, ``overloaded`` or ``shutting_down``.
        """
        last = await self.find(principal, task_id)
        end = self.clock.monotonic() + self.longest
        with self.changes.subscribe(task_id) as listener:
            # Read again: it may have changed before the listening began.
            last = await self.catalogue.task(task_id) or last
            yield last
            while not last.status.is_end:
                left = end - self.clock.monotonic()
                changed = left > 0 and await listener.changed(within=min(self.heartbeat, left))
                if self.changes.closed or left <= 0:
                    return
                if not changed:
                    yield None
                    continue
                now = await self.catalogue.task(task_id)
                if now is None and await self.catalogue.is_forgotten(task_id):
                    return  # its document was deleted, and what was known of the task with it
                # A view that is being rebuilt passes through states that were shown already.
                if now is not None and now.order > last.order:
                    last = now
                    yield last


def _seen(task: Task | None, principal: Principal) -> Task | None:
    return task if task is not None and principal.sees(task.cabinet_id) else None


def _place(task: Task) -> TaskPlace | None:
    if task.accepted_at is None:
        return None
    return TaskPlace(accepted_at=task.accepted_at, task_id=task.task_id)
