"""Around every job: its span, in the trace that its event came with."""

from contextlib import AbstractContextManager

from embedder.domain.job import Job, Lease, RawRecord
from embedder.ports import JobHandler
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import EventError
from kartoteka_runtime.tracing import Span, SpanKind, Tracer

__all__ = ["TracedJobs"]


class TracedJobs:
    """A job handler whose every call is a span.

    Tries at one piece of work, and the steps of a run, stand beside each other in its trace.
    """

    def __init__(self, handler: JobHandler, tracer: Tracer) -> None:
        self._handler = handler
        self._tracer = tracer

    async def handle(self, job: Job, lease: Lease) -> None:
        """Do the work."""
        with self._job(f"process {job.event.type}", job):
            await self._handler.handle(job, lease)

    async def supersede(self, job: Job) -> None:
        """End it as overtaken."""
        with self._job(f"supersede {job.event.type}", job):
            await self._handler.supersede(job)

    async def cancel(self, job: Job) -> None:
        """End it as cancelled."""
        with self._job(f"cancel {job.event.type}", job):
            await self._handler.cancel(job)

    async def reject(self, record: RawRecord, error: EventError) -> None:
        """Put it to the dead letters."""
        envelope = Envelope.from_headers(record.headers)
        with self._begun("reject record", record, envelope) as span:
            span.fail(error.code)
            await self._handler.reject(record, error)

    def _job(self, name: str, job: Job) -> AbstractContextManager[Span]:
        ids: dict[str, str | int] = {
            "kartoteka.task_id": job.event.task_id,
            "kartoteka.cabinet_id": job.event.cabinet_id,
            "kartoteka.attempt": job.envelope.attempt,
        }
        if job.document_id is not None:
            ids["kartoteka.document_id"] = job.document_id
        if job.version is not None:
            ids |= {"kartoteka.version": job.version, "kartoteka.epoch": job.epoch}
        return self._begun(name, job.record, job.envelope, ids)

    def _begun(
        self,
        name: str,
        record: RawRecord,
        envelope: Envelope,
        ids: dict[str, str | int] | None = None,
    ) -> AbstractContextManager[Span]:
        origin = record.origin
        where: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": origin.topic,
            "messaging.destination.partition.id": str(origin.partition),
            "messaging.kafka.offset": origin.offset,
        }
        return self._tracer.begin(
            name,
            traceparent=envelope.traceparent,
            kind=SpanKind.CONSUMER,
            attributes=where | (ids or {}),
        )
