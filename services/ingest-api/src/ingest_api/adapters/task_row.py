"""A task as a row of the view's table, and back."""

from typing import Any, Final

from ingest_api.domain.figures import Backlog
from ingest_api.domain.instant import microseconds, moment
from ingest_api.domain.task import Queue, Task
from kartoteka_contracts.events import IndexResult, TaskError
from kartoteka_contracts.reindex import RunResult
from kartoteka_contracts.tasks import Stage, TaskKind, TaskStatus

__all__ = ["COLUMNS", "from_row", "to_row"]

COLUMNS: Final = (
    "task_id",
    "cabinet_id",
    "kind",
    "status",
    "stage",
    "progress",
    "attempt",
    "document_id",
    "external_id",
    "version",
    "epoch",
    "filename",
    "replay_of",
    "accepted_us",
    "updated_us",
    "next_attempt_us",
    "result",
    "error",
    "run",
    "ended",
    "queue",
    "backlog",
    "since_us",
)
"""The columns of a task, in the order of both functions below."""


def to_row(task: Task) -> tuple[Any, ...]:
    """Return the values of a task's columns."""
    return (
        task.task_id,
        task.cabinet_id,
        task.kind,
        task.status,
        task.stage,
        task.progress,
        task.attempt,
        task.document_id,
        task.external_id,
        task.version,
        task.epoch,
        task.filename,
        task.replay_of,
        None if task.accepted_at is None else microseconds(task.accepted_at),
        microseconds(task.updated_at),
        None if task.next_attempt_at is None else microseconds(task.next_attempt_at),
        None if task.result is None else task.result.model_dump_json(),
        None if task.error is None else task.error.model_dump_json(),
        None if task.run is None else task.run.model_dump_json(),
        int(task.status.is_end),
        task.queue,
        *_backlog(task),
    )


def _backlog(task: Task) -> tuple[Backlog | None, int | None]:
    """Return what an open task waits among, and since when; nothing of one that has ended."""
    if task.status.is_end or task.kind is None or task.accepted_at is None:
        return (None, None)
    # The epoch of work that is done anew is when that was asked for; its document may have been
    # accepted long ago.
    since = max(microseconds(task.accepted_at), task.epoch)
    if task.kind is TaskKind.REINDEX:
        return (Backlog.RUN, since)
    if task.status is TaskStatus.RETRYING or task.attempt > 0:
        return (Backlog.BULK_RETRY if task.epoch > 0 else Backlog.RETRY, since)
    return (Backlog.BULK if task.queue is Queue.BULK else Backlog.INTERACTIVE, since)


def from_row(row: tuple[Any, ...]) -> Task:
    """Return the task of a row whose first columns are :data:`COLUMNS`."""
    named = dict(zip(COLUMNS, row, strict=False))
    return Task(
        task_id=named["task_id"],
        cabinet_id=named["cabinet_id"],
        kind=None if named["kind"] is None else TaskKind(named["kind"]),
        status=TaskStatus(named["status"]),
        stage=None if named["stage"] is None else Stage(named["stage"]),
        progress=named["progress"],
        attempt=named["attempt"],
        document_id=named["document_id"],
        external_id=named["external_id"],
        version=named["version"],
        epoch=named["epoch"],
        filename=named["filename"],
        replay_of=named["replay_of"],
        accepted_at=None if named["accepted_us"] is None else moment(named["accepted_us"]),
        updated_at=moment(named["updated_us"]),
        next_attempt_at=(
            None if named["next_attempt_us"] is None else moment(named["next_attempt_us"])
        ),
        result=(
            None if named["result"] is None else IndexResult.model_validate_json(named["result"])
        ),
        error=None if named["error"] is None else TaskError.model_validate_json(named["error"]),
        queue=None if named["queue"] is None else Queue(named["queue"]),
        run=None if named["run"] is None else RunResult.model_validate_json(named["run"]),
    )
