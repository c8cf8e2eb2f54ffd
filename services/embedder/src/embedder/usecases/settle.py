"""Bring every delivered record to a durable end: a status, a retry or a dead letter.

The order is always: the record of what comes next (retry or dead letter), then the status, each
acknowledged by the broker, and only then does the caller acknowledge the event. A crash between
two of them repeats a send; it never leaves one out.
"""

import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from embedder.domain.flood import Flood, FloodLimit
from embedder.domain.job import Job, Lease, Origin, RawRecord, RunEvent
from embedder.domain.outcome import (
    Cancelled,
    Continued,
    Deleted,
    Empty,
    EndedElsewhere,
    Failed,
    Indexed,
    Outcome,
    RunEnded,
    RunFailed,
    RunJoined,
    RunOutcome,
    Superseded,
    Unchanged,
)
from embedder.domain.retry import RetryPolicy
from embedder.ports import EventLog
from embedder.telemetry import SettleMetrics
from embedder.usecases.outages import Outages
from embedder.usecases.work import DoWork
from kartoteka_contracts.codec import encode
from kartoteka_contracts.dead_letter import DeadLetter
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import (
    ERRORS,
    EventError,
    KartotekaError,
    RequestError,
)
from kartoteka_contracts.events import (
    IndexResult,
    TaskCancellationRequested,
    TaskError,
    TaskProgressed,
    TaskStatusChanged,
)
from kartoteka_contracts.reindex import RunContinued, RunResult
from kartoteka_contracts.tasks import Stage, TaskStatus
from kartoteka_runtime import tracing
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metrics import Metrics

__all__ = ["DeadLetterFloodError", "SettleJobs"]

_log = get_logger(__name__)

_RETRY_TOPIC: Final = "documents.retry"
_RUN_TOPIC: Final = "cabinets.reindex"
"""A run's step is tried again on its own topic: there its key is the lane of its cabinet."""
_DEAD_LETTER_TOPIC: Final = "documents.dlq"
_STATUS_TOPIC: Final = "task.status"
_PROGRESS_TOPIC: Final = "task.progress"

_ADVICE: Final = (
    "Nothing of the last record was written or acknowledged. Find out why every document fails "
    "(the last deployment, the model, the disk), mend it or roll back, and start the worker: it "
    "goes on where it stopped. Then replay the dead letters of this time."
)
_MOST_SAID: Final = 1000
"""Characters of an unknown error's message."""
_MOST_KEY: Final = 256


class DeadLetterFloodError(Exception):
    """Everything fails, so it is not the documents: the worker must end, nothing acknowledged."""


class SettleJobs:
    """The dispatcher's handler.

    Args:
        work: the use cases.
        log: where outcomes go.
        policy: when work is tried again.
        clock: the time.
        outages: tells outages from failures, and waits for their end.
        flood: how many dead letters may follow each other.
        metrics: of the process.
    """

    def __init__(
        self,
        *,
        work: DoWork,
        log: EventLog,
        policy: RetryPolicy,
        clock: Clock,
        outages: Outages,
        flood: FloodLimit | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._work = work
        self._event_log = log
        self._policy = policy
        self._clock = clock
        self._outages = outages
        self._flood = Flood(flood or FloodLimit())
        self._metrics = SettleMetrics(metrics or Metrics())
        self._metrics.watch(lambda: self._flood.in_a_row)

    async def handle(self, job: Job, lease: Lease) -> None:
        """Do the work and settle what it came to.

        Raises:
            DeadLetterFloodError: it is given up, and so was all before it.
        """
        report = _Progress(job, self._event_log, self._clock)
        await self._bring_to_end(job, lambda: self._work.run(job, lease, report), report)

    async def supersede(self, job: Job) -> None:
        """End a job whose document has newer work.

        Raises:
            DeadLetterFloodError: as :meth:`handle`.
        """
        await self._bring_to_end(job, lambda: self._work.overtaken(job))

    async def cancel(self, job: Job) -> None:
        """End a job whose task is to be cancelled.

        Raises:
            DeadLetterFloodError: as :meth:`handle`.
        """
        await self._bring_to_end(job, lambda: self._work.cancel(job))

    async def reject(self, record: RawRecord, error: EventError) -> None:
        """Put a record that cannot be read to the dead letters, raw."""
        _log.error("record_rejected", code=error.code, **_place(record.origin))
        letter = self._letter(
            record,
            code=error.code,
            message=error.message,
            stage="decoding",
            envelope=Envelope.from_headers(record.headers),
        )
        await self._send_dead_letter(record, letter)
        self._metrics.rejected(record)

    async def _bring_to_end(
        self, job: Job, work: Callable[[], Awaitable[Outcome]], report: "_Progress | None" = None
    ) -> None:
        try:
            outcome = await self._outages.through(work)
        except KartotekaError as error:
            code, message = error.code, error.message
        except Exception as error:  # noqa: BLE001 - the job's boundary: whatever went wrong is settled
            _log.exception("job_failed_unexpectedly", task_id=job.event.task_id)
            # Whatever a library says must fit a record, and be text that can be encoded.
            said = f"{type(error).__name__}: {error}"[:_MOST_SAID]
            code, message = "unexpected", said.encode(errors="replace").decode()
        else:
            await self._settle(job, outcome)
            return
        await self._failed_try(job, code, message, report.stage if report else Stage.WRITING)

    async def _settle(self, job: Job, outcome: Outcome) -> None:
        tracing.note(outcome=type(outcome).__name__.lower())
        if isinstance(outcome, Indexed | Empty | Unchanged | Deleted):
            self._flood.succeeded()
        match outcome:
            case Indexed(result=result) | Deleted(result=result):
                await self._send_status(job, TaskStatus.SUCCEEDED, result=result)
            case Empty(result=result):
                await self._send_status(job, TaskStatus.EMPTY, result=result)
            case Unchanged(result=result):
                await self._send_status(job, TaskStatus.UNCHANGED, result=result)
            case Superseded():
                await self._send_status(job, TaskStatus.SUPERSEDED)
            case Cancelled():
                await self._send_status(job, TaskStatus.CANCELLED)
            case EndedElsewhere():
                pass
            case Failed():
                await self._bury(job, outcome)
            case Continued() | RunEnded() | RunFailed() | RunJoined():
                await self._settle_run(job, outcome)
        self._metrics.settled(job, outcome)

    async def _settle_run(self, job: Job, outcome: RunOutcome) -> None:
        match outcome:
            case Continued():
                pass
            case RunEnded(result=run):
                status = TaskStatus.SUCCEEDED if run.total else TaskStatus.UNCHANGED
                await self._send_status(job, status, result=IndexResult(run=run))
            case RunJoined(run=other):
                result = IndexResult(run=RunResult(joined=other))
                await self._send_status(job, TaskStatus.SUPERSEDED, result=result)
            case RunFailed(code=code, message=message, result=run):
                error = TaskError(code=code, message=message, retriable=False)
                result = IndexResult(run=run)
                await self._send_status(job, TaskStatus.FAILED, result=result, error=error)

    async def _failed_try(self, job: Job, code: str, message: str, stage: Stage) -> None:
        """Hand the work to the retry topic, or give it up."""
        tracing.note(failed_stage=stage)
        tracing.failed(code)
        error = TaskError(code=code, message=message, retriable=ERRORS[code].retriable)
        attempt = job.envelope.attempt
        due = self._policy.next_attempt(
            attempt,
            now=self._clock.now(),
            random=random.random(),  # noqa: S311 - jitter, not a secret
        )
        if not error.retriable or due is None:
            if error.retriable:
                code, message = _exhausted(job, code, message)
            if not isinstance(job.event, RunEvent):  # whose trouble are its sources, or its size
                self._stop_flood(job, code, message)
            await self._settle(job, await self._give_up(job, code, message, stage))
            return
        envelope = Envelope(
            event_id=job.envelope.event_id,
            attempt=attempt + 1,
            not_before_ms=int(due.timestamp() * 1000),
            first_failed_at_ms=job.envelope.first_failed_at_ms or self._now_ms(),
        )
        _log.warning(
            "job_postponed", task_id=job.event.task_id, code=code, attempt=attempt, stage=stage
        )
        self._metrics.postponed(job, code)
        topic = _RUN_TOPIC if isinstance(job.event, RunEvent) else _RETRY_TOPIC
        await self._send(topic, job.event.key, job.record.value or b"", envelope.to_headers())
        if isinstance(job.event, TaskCancellationRequested | RunEvent):
            return  # the task itself may be doing well; a run's goes on with later steps
        await self._send_status(job, TaskStatus.RETRYING, error=error, next_attempt_at=due)

    def _stop_flood(self, job: Job, code: str, message: str) -> None:
        """Before the failure is decided: what is decided could not succeed any more."""
        if self._flood.admits(code):
            return
        _log.critical(
            "dead_letter_flood",
            in_a_row=self._flood.in_a_row,
            code=code,
            reason=message,
            task_id=job.event.task_id,
            advice=_ADVICE,
        )
        raise DeadLetterFloodError(f"{self._flood.in_a_row} dead letters in a row: {message}")

    async def _give_up(self, job: Job, code: str, message: str, stage: Stage) -> Outcome:
        try:
            return await self._outages.through(
                lambda: self._work.give_up(job, code, message, stage)
            )
        except Exception:  # noqa: BLE001 - raised from here it would end one worker after the other
            # The index does not even take the failure. The dead letter and the status do.
            _log.exception("failure_not_noted", task_id=job.event.task_id, code=code)
            if isinstance(job.event, RunEvent):
                return RunFailed(code=code, message=message, result=_so_far(job.event))
            return Failed(code=code, message=message, stage=stage)

    async def _bury(self, job: Job, failed: Failed) -> None:
        """Dead letter first, then the end of the task."""
        letter = self._letter(
            job.record,
            code=failed.code,
            message=failed.message,
            stage=failed.stage,
            envelope=job.envelope,
            task_id=job.event.task_id,
        )
        await self._send_dead_letter(job.record, letter)
        if not failed.ends_task:
            return
        error = TaskError(code=failed.code, message=failed.message, retriable=False)
        await self._send_status(job, TaskStatus.FAILED, error=error)

    def _letter(
        self,
        record: RawRecord,
        *,
        code: str,
        message: str,
        stage: str,
        envelope: Envelope,
        task_id: str = "",
    ) -> DeadLetter:
        return DeadLetter(
            reason=code,
            message=message,
            stage=stage,
            attempts=envelope.attempt + 1,
            first_failed_at_ms=envelope.first_failed_at_ms or self._now_ms(),
            origin_topic=record.origin.topic,
            origin_partition=record.origin.partition,
            origin_offset=record.origin.offset,
            task_id=task_id,
        )

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    async def _send_dead_letter(self, record: RawRecord, letter: DeadLetter) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        headers = letter.to_headers()
        self._metrics.buried(letter.reason)
        try:
            await self._send(_DEAD_LETTER_TOPIC, key, record.value or b"", headers)
        except RequestError:
            # A foreign producer's, larger than ours may send: the headers say where it lies.
            _log.error("dead_letter_without_value", **_place(record.origin))
            await self._send(_DEAD_LETTER_TOPIC, key[:_MOST_KEY], b"", headers)

    async def _send_status(
        self,
        job: Job,
        status: TaskStatus,
        *,
        result: IndexResult | None = None,
        error: TaskError | None = None,
        next_attempt_at: datetime | None = None,
    ) -> None:
        event = job.event
        told = TaskStatusChanged(
            task_id=event.task_id,
            kind=job.kind,
            status=status,
            cabinet_id=event.cabinet_id,
            document_id=job.document_id,
            external_id=job.external_id,
            version=job.version,
            epoch=job.epoch,
            filename=job.filename,
            attempt=job.envelope.attempt,
            accepted_at=event.accepted_at,
            at=self._clock.now(),
            next_attempt_at=next_attempt_at,
            result=result,
            error=error,
        )
        await self._send(_STATUS_TOPIC, told.key, encode(told), ())

    async def _send(
        self, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]] | tuple[()]
    ) -> None:
        # Without it the record may not be let go of, so there is no last try.
        await self._outages.through(
            lambda: self._event_log.send(topic, key=key, value=value, headers=headers), tries=None
        )


class _Progress:
    """Reports the stages of one try and remembers the last."""

    def __init__(self, job: Job, log: EventLog, clock: Clock) -> None:
        self._job = job
        self._event_log = log
        self._clock = clock
        self.stage = Stage.FETCHING

    def __call__(self, stage: Stage, progress: float) -> None:
        self.stage = stage
        event = TaskProgressed(
            task_id=self._job.event.task_id,
            cabinet_id=self._job.event.cabinet_id,
            attempt=self._job.envelope.attempt,
            stage=stage,
            progress=progress,
            at=self._clock.now(),
        )
        self._event_log.post(_PROGRESS_TOPIC, key=event.key, value=encode(event))


def _exhausted(job: Job, code: str, message: str) -> tuple[str, str]:
    """Return the code and message of work whose every try failed."""
    if isinstance(job.event, RunEvent):
        return "unexpected", message if code == "unexpected" else f"{code}: {message}"
    return "retries_exhausted", f"{code}: {message}"


def _so_far(event: RunEvent) -> RunResult:
    return event.result if isinstance(event, RunContinued) else RunResult()


def _place(origin: Origin) -> dict[str, str | int]:
    return {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset}
