"""Ask that a task ends as cancelled. Only the worker ends it."""

import asyncio
from dataclasses import dataclass
from typing import Final

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.domain.task import Task
from ingest_api.ports import Removals
from ingest_api.read_ports import DocumentIndex
from ingest_api.usecases.job_events import JobEvents, acknowledged_in_time
from ingest_api.usecases.read_tasks import ReadTasks
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import RequestError, UnavailableError
from kartoteka_contracts.events import TaskCancellationRequested
from kartoteka_contracts.ids import TaskId
from kartoteka_contracts.tasks import TaskKind
from kartoteka_runtime.clock import Clock

__all__ = ["CANCELLING", "Cancel"]

CANCELLING: Final = (Scope.INGEST, Scope.DELETE)
"""Scopes either of which may cancel: whoever may upload may take an upload back."""

_INDEX_SECONDS: Final = 2.0
"""For the index to say whether the task is decided; it is not waited for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Takes requests to cancel in."""

    tasks: ReadTasks
    index: DocumentIndex
    removals: Removals
    jobs: JobEvents
    clock: Clock

    async def task(
        self, principal: Principal, task_id: TaskId, *, traceparent: str | None = None
    ) -> None:
        """Ask that a task ends as cancelled; it may still end otherwise, if it is faster.

        A mark in object storage stops it though its event waits elsewhere, for a retry or in bulk.

        Raises:
            RequestError: ``not_found``, for a foreign task as for an unknown one; ``task_ended``;
                or ``not_cancellable``: it is no work on one document's content.
            UnavailableError: ``event_log_unavailable`` or ``overloaded`` (it may be cancelled all
                the same), ``object_store_unavailable`` or ``view_behind``.
        """
        self.jobs.check()
        task = await self.tasks.find(principal, task_id)
        scope = next((one for one in CANCELLING if principal.has(one)), Scope.INGEST)
        cabinet = authorise(principal, scope, task.cabinet_id)
        if task.status.is_end:
            raise _ended(task)
        event = self._event(task)
        if await self._is_decided(cabinet, event):
            raise RequestError("task_ended")
        await self.removals.mark_cancelled(event)
        async with acknowledged_in_time():
            await self.jobs.send(event, task_id, traceparent=traceparent)

    def _event(self, task: Task) -> TaskCancellationRequested:
        if (
            task.kind is not TaskKind.INDEX
            or task.document_id is None
            or task.external_id is None
            or task.version is None
            or task.accepted_at is None
        ):
            kind = task.kind or "unknown"
            raise RequestError("not_cancellable", f"a task of the kind '{kind}' goes to its end")
        return TaskCancellationRequested(
            task_id=task.task_id,
            cabinet_id=task.cabinet_id,
            document_id=task.document_id,
            external_id=task.external_id,
            version=task.version,
            epoch=task.epoch,
            filename=task.filename,
            accepted_at=task.accepted_at,
            requested_at=self.clock.now(),
        )

    async def _is_decided(
        self, cabinet: AuthorisedCabinet, event: TaskCancellationRequested
    ) -> bool:
        """Return whether the task's outcome stands though its end is not told yet.

        False also where the index cannot be asked: the worker finds out.
        """
        try:
            async with asyncio.timeout(_INDEX_SECONDS):
                found = await self.index.manifests(cabinet, [event.document_id])
        except (UnavailableError, TimeoutError):
            return False
        manifest = found.get(event.document_id)
        return manifest is not None and (
            (manifest.fence, manifest.epoch, manifest.task_id)
            == (event.version, event.epoch, event.task_id)
        )


def _ended(task: Task) -> RequestError:
    return RequestError("task_ended", f"the task has ended as '{task.status}' already")
