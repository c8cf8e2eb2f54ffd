"""Valid events of reindex runs with defaults, so that a test names only what it is about."""

from typing import Any

from kartoteka_contracts.ids import CabinetId, TaskId, new_task_id
from kartoteka_contracts.reindex import ReindexRequested, ReindexTrigger, RunContinued, RunPhase
from kartoteka_testkit.builders import EPOCH

__all__ = ["reindex_requested", "run_continued"]


def reindex_requested(
    *, cabinet: int = 7, task_id: str | None = None, **fields: Any
) -> ReindexRequested:
    """Return the request of a run."""
    values: dict[str, Any] = {"trigger": ReindexTrigger.MANUAL, "accepted_at": EPOCH}
    return ReindexRequested(
        task_id=new_task_id() if task_id is None else TaskId(task_id),
        cabinet_id=CabinetId(cabinet),
        **(values | fields),
    )


def run_continued(
    *, cabinet: int = 7, task_id: str | None = None, step: int = 0, **fields: Any
) -> RunContinued:
    """Return a step of a run."""
    values: dict[str, Any] = {
        "phase": RunPhase.EMITTING,
        "begun_at": EPOCH,
        "accepted_at": EPOCH,
    }
    return RunContinued(
        task_id=new_task_id() if task_id is None else TaskId(task_id),
        cabinet_id=CabinetId(cabinet),
        step=step,
        **(values | fields),
    )
