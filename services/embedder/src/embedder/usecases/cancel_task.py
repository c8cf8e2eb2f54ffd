"""End a task as cancelled, whether its own event was delivered before, comes later or never."""

from embedder.domain.job import Job, Lease
from embedder.domain.outcome import Cancelled, EndedElsewhere, Outcome
from embedder.ports import Bodies, ChunkIndex, StageReport
from kartoteka_contracts.events import TaskCancellationRequested
from kartoteka_contracts.keys import cancel_key
from kartoteka_index.manifest import Decision
from kartoteka_index.manifest import Outcome as Decided
from kartoteka_runtime.clock import Clock

__all__ = ["CancelTask"]


class CancelTask:
    """The use case. The decision is the work's own, so of the two the first one stands."""

    def __init__(self, *, index: ChunkIndex, bodies: Bodies, clock: Clock) -> None:
        self._index = index
        self._bodies = bodies
        self._clock = clock

    async def run(self, job: Job, lease: Lease, report: StageReport) -> Outcome:
        """Do the work; safe to repeat.

        Returns:
            Cancelled; EndedElsewhere where the task came to something else.

        Raises:
            UnavailableError: Qdrant or object storage is away.
            TypeError: the job is no cancellation.
        """
        del lease, report  # one request or two, and no stage of the task's
        event = job.event
        if not isinstance(event, TaskCancellationRequested):
            raise TypeError(f"{event.type} is no cancellation")
        decision = Decision(
            document_id=event.document_id,
            external_id=event.external_id,
            version=event.version,
            epoch=event.epoch,
            outcome=Decided.CANCELLED,
            task_id=event.task_id,
            decided_at=self._clock.now(),
        )
        stands = await self._index.decide(job.cabinet, decision)
        if stands is None:
            return EndedElsewhere()
        if stands.outcome is not Decided.CANCELLED:
            # The task was faster. Whoever makes the index anew from object storage must not find
            # it cancelled.
            mark = (event.cabinet_id, event.document_id, event.version, event.task_id)
            await self._bodies.delete([cancel_key(*mark)])
            return EndedElsewhere()
        await self._index.discard(job.cabinet, event.document_id, event.version, event.epoch)
        return Cancelled()
