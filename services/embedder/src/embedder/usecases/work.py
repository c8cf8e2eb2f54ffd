"""All work that a job topic may ask for, by the type of its event."""

from typing import Protocol

from embedder.domain.job import Job, Lease, RunEvent
from embedder.domain.outcome import Failed, Outcome, Superseded
from embedder.ports import StageReport
from embedder.usecases.cancel_task import CancelTask
from embedder.usecases.delete_cabinet import DeleteCabinet
from embedder.usecases.delete_document import DeleteDocument
from embedder.usecases.index_document import IndexDocument
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
)
from kartoteka_contracts.reindex import ReindexRequested, RunContinued

__all__ = ["DoWork", "Runs"]


class Runs(Protocol):
    """Reindex runs, a step at a time. Every step may be repeated, and by two workers at once."""

    async def request(self, event: ReindexRequested, lease: Lease) -> Outcome:
        """Plan a run and send its first step, or end it at once."""
        ...

    async def proceed(self, event: RunContinued, lease: Lease) -> Outcome:
        """Do one step and send the next one, or end the run."""
        ...

    async def give_up(self, event: RunEvent, code: str, message: str) -> Outcome:
        """End a run whose step failed for good, so that the cabinet may have another one.

        Returns:
            RunFailed, or what the run came to before.
        """
        ...


class DoWork:
    """One use case for each type of event. Only those of runs send events themselves.

    All calls raise UnavailableError where a dependency is away, and may be repeated.
    """

    def __init__(
        self,
        *,
        index_document: IndexDocument,
        delete_document: DeleteDocument,
        delete_cabinet: DeleteCabinet,
        cancel_task: CancelTask,
        reindex: Runs,
    ) -> None:
        self._index_document = index_document
        self._delete_document = delete_document
        self._delete_cabinet = delete_cabinet
        self._cancel_task = cancel_task
        self._reindex = reindex

    async def run(self, job: Job, lease: Lease, report: StageReport) -> Outcome:
        """Do the work of a job to its outcome.

        Raises:
            DocumentError: the try failed in a way that may pass.
            KartotekaError: it failed for good.
        """
        match job.event:
            case DocumentSubmitted():
                return await self._index_document.run(job, lease, report)
            case DocumentDeletionRequested():
                return await self._delete_document.run(job, lease, report)
            case CabinetDeletionRequested():
                return await self._delete_cabinet.run(job, lease, report)
            case TaskCancellationRequested():
                return await self._cancel_task.run(job, lease, report)
            case ReindexRequested():
                return await self._reindex.request(job.event, lease)
            case RunContinued():
                return await self._reindex.proceed(job.event, lease)

    async def give_up(self, job: Job, code: str, message: str, stage: str) -> Outcome:
        """Record that the work failed for good.

        Returns:
            Failed, or what stands where that was decided before. A delete has nothing to record: if
            its decision stands, nothing of the document is searchable, and what is left of it is
            deleted by a replay.
        """
        match job.event:
            case DocumentSubmitted():
                return await self._index_document.give_up(job, code, message, stage)
            case DocumentDeletionRequested() | CabinetDeletionRequested():
                return Failed(code=code, message=message, stage=stage)
            case TaskCancellationRequested():
                return Failed(code=code, message=message, stage=stage, ends_task=False)
            case ReindexRequested() | RunContinued():
                return await self._reindex.give_up(job.event, code, message)

    async def overtaken(self, job: Job) -> Outcome:
        """End a job whose document (or cabinet) has newer work here.

        A document's delete is carried out all the same: the newer work may fail, and would then
        keep what was to be deleted. So is a cancellation, whose task may wait for it, and a run's
        step, which nothing overtakes.
        """
        match job.event:
            case DocumentSubmitted() | CabinetDeletionRequested():
                return Superseded()
            case DocumentDeletionRequested():
                return await self._delete_document.run(job, Lease(), _unheard)
            case TaskCancellationRequested():
                return await self._cancel_task.run(job, Lease(), _unheard)
            case ReindexRequested() | RunContinued():
                return await self.run(job, Lease(), _unheard)

    async def cancel(self, job: Job) -> Outcome:
        """End a job that is to be cancelled and does not run, or no longer.

        Returns:
            Cancelled, or what its task came to before. Only indexing can be cancelled; anything
            else is done.
        """
        if isinstance(job.event, DocumentSubmitted):
            return await self._index_document.cancel(job)
        return await self.run(job, Lease(), _unheard)


def _unheard(_stage: object, _share: float) -> None:
    """Take no notice of a stage."""
