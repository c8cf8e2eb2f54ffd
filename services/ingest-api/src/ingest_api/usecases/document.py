"""A document as its callers see it: what was decided about it, and what is still to come."""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest_api.domain.task import Task
from kartoteka_contracts.ids import CabinetId, DocumentId, Version
from kartoteka_contracts.tasks import DocumentState, TaskStatus
from kartoteka_index import Manifest

__all__ = ["Document", "document_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document."""

    document_id: DocumentId
    cabinet_id: CabinetId
    external_id: str
    filename: str
    version: Version
    """The newest version that is known, whatever became of it."""
    state: DocumentState
    manifest: Manifest | None
    """What was decided; None before the first decision."""
    open_task: Task | None
    """The newest work that is not decided yet."""
    last_task: Task | None
    """The newest work of the last days, ended or not."""


def document_of(manifest: Manifest | None, tasks: Sequence[Task]) -> Document | None:
    """Put a document together; None where nothing says that there is one.

    A newer upload under way does not hide what is searchable: the document is ``accepted`` only
    while nothing of it is published.

    Args:
        manifest: read after the tasks, so that an ended task's decision is in it.
        tasks: the document's tasks that the view knows, newest work first.
    """
    tasks = [task for task in tasks if task.is_complete]
    decided = (0, 0) if manifest is None else (manifest.fence, manifest.epoch)
    pending = [task for task in tasks if not task.status.is_end and _work(task) > decided]
    open_task = pending[0] if pending else None
    newest = tasks[0] if tasks else None
    state = _state(manifest, open_task, newest)
    if state is None:
        return None
    published = None if manifest is None else manifest.published
    if manifest is not None:
        identity = (manifest.document_id, manifest.cabinet_id, manifest.external_id)
    elif newest is not None and newest.document_id is not None:
        identity = (newest.document_id, newest.cabinet_id, newest.external_id or "")
    else:
        return None
    named_by_task = None if newest is None else newest.filename
    return Document(
        document_id=identity[0],
        cabinet_id=identity[1],
        external_id=identity[2],
        filename=named_by_task or (identity[2] if published is None else published.filename),
        version=Version(max(decided[0], 0 if newest is None else newest.version or 0)),
        state=state,
        manifest=manifest,
        open_task=open_task,
        last_task=newest,
    )


def _work(task: Task) -> tuple[int, int]:
    return (task.version or 0, task.epoch)


def _state(
    manifest: Manifest | None, open_task: Task | None, newest: Task | None
) -> DocumentState | None:
    if open_task is not None and (manifest is None or manifest.published is None):
        return DocumentState.ACCEPTED
    if manifest is not None:
        return manifest.state
    # Work can be given up before anything was decided: its record could not be read, for one.
    is_failed = newest is not None and newest.status is TaskStatus.FAILED
    return DocumentState.FAILED if is_failed else None
