"""Events of cabinets and of their runs, with defaults."""

from datetime import timedelta
from typing import Any

from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSeen, CabinetSettings
from kartoteka_contracts.events import IndexResult, TaskStatusChanged
from kartoteka_contracts.ids import CabinetId, TaskId, Version, new_task_id
from kartoteka_contracts.reindex import (
    ReindexRequested,
    ReindexTrigger,
    RunCounts,
    RunProgressed,
    RunResult,
)
from kartoteka_contracts.tasks import TaskKind, TaskStatus
from kartoteka_testkit.builders import EPOCH

__all__ = ["COUNTS", "cabinet_seen", "configured", "requested", "run_ended", "run_progressed"]

COUNTS = RunCounts(seen=10, new=4, unchanged=6)


def configured(
    version: int = 1000, *, cabinet: int = 7, second: int = 0, **settings: Any
) -> CabinetConfigured:
    """A cabinet's settings."""
    return CabinetConfigured(
        cabinet_id=CabinetId(cabinet),
        version=Version(version),
        settings=CabinetSettings(**settings),
        created_at=EPOCH,
        at=EPOCH + timedelta(seconds=second),
    )


def cabinet_seen(cabinet: int = 7, *, second: int = 0) -> CabinetSeen:
    """A cabinet's first upload."""
    return CabinetSeen(cabinet_id=CabinetId(cabinet), at=EPOCH + timedelta(seconds=second))


def requested(cabinet: int = 7, *, second: int = 0, **fields: Any) -> ReindexRequested:
    """The request of a run."""
    values: dict[str, Any] = {"task_id": new_task_id(), "trigger": ReindexTrigger.MANUAL}
    return ReindexRequested(
        cabinet_id=CabinetId(cabinet),
        accepted_at=EPOCH + timedelta(seconds=second),
        **(values | fields),
    )


def run_progressed(
    run: ReindexRequested, done: int = 1, *, second: int = 1, **fields: Any
) -> RunProgressed:
    """A run of four documents is so far."""
    values: dict[str, Any] = {"success": done, "total": 4, "counts": COUNTS, "eta_seconds": 3.5}
    return RunProgressed(
        task_id=run.task_id,
        cabinet_id=run.cabinet_id,
        progress=done / 4,
        result=RunResult(**(values | fields)),
        at=EPOCH + timedelta(seconds=second),
    )


def run_ended(
    run: ReindexRequested,
    status: TaskStatus = TaskStatus.SUCCEEDED,
    *,
    second: int = 60,
    attempt: int = 0,
    joined: TaskId | None = None,
    **fields: Any,
) -> TaskStatusChanged:
    """The end of a run of four documents."""
    result = RunResult(success=4, total=4, counts=COUNTS, joined=joined)
    values: dict[str, Any] = {"result": IndexResult(run=result)}
    return TaskStatusChanged(
        task_id=run.task_id,
        kind=TaskKind.REINDEX,
        status=status,
        cabinet_id=run.cabinet_id,
        attempt=attempt,
        accepted_at=run.accepted_at,
        at=EPOCH + timedelta(seconds=second),
        **(values | fields),
    )
