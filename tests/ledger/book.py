"""What the clients know of each document and task while they work."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from kartoteka_contracts.ids import CabinetId, document_id
from kartoteka_contracts.tasks import TaskStatus
from tests.ledger.ledger import Intent, Ledger, Operation, Outcome, Verdict

__all__ = ["Accepted", "Book", "Known"]


@dataclass(slots=True, eq=False)
class Known:
    """One document, as its clients see it. At most one request about it is under way."""

    cabinet: int
    name: str
    is_busy: bool = False
    changes: int = 0
    """Uploads and deletes begun so far."""
    is_uncertain: bool = False
    """One of them ended without an answer, so it may take effect at any time."""
    newest: Intent | None = None
    """The last upload that was accepted; None after a delete."""
    task_id: str = ""
    """Of the last upload or delete that was accepted."""
    floor: int = 0
    """The newest version that was told to have succeeded: nothing older may be read any more."""
    may_vanish: bool = False
    """A delete, or a file that may hold no text, was asked for."""

    @property
    def document_id(self) -> str:
        """The id that the API gives it."""
        return document_id(CabinetId(self.cabinet), self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A task that an answer named."""

    intent: Intent
    document: Known
    version: int
    asked_at: float
    """Monotonic seconds at which the request began."""


@dataclass(slots=True)
class Book:
    """All documents and accepted tasks."""

    ledger: Ledger
    documents: list[Known] = field(default_factory=list)
    tasks: dict[str, Accepted] = field(default_factory=dict)
    open_tasks: set[str] = field(default_factory=set)
    runs: dict[str, Intent] = field(default_factory=dict)
    """Reindex runs that an answer named, by task."""
    open_others: set[str] = field(default_factory=set)
    """Tasks that no upload or delete led to, seen under way: runs, their children, replays."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def number(self) -> int:
        """Return the number of the next operation, whoever does it."""
        return next(self._numbers)

    def add(self, cabinet: int) -> Known:
        """Make up a document. Cabinets have the same names: what mixes them up shows."""
        number = sum(known.cabinet == cabinet for known in self.documents)
        known = Known(cabinet=cabinet, name=f"document-{number}")
        self.documents.append(known)
        return known

    def intend(self, document: Known, intent: Intent) -> None:
        """Note that a request begins."""
        if intent.operation.is_upload or intent.operation is Operation.DELETE:
            document.changes += 1
        if intent.operation is Operation.DELETE or intent.is_hostile:
            document.may_vanish = True
        self.ledger.intend(intent)

    def answered(self, document: Known, intent: Intent, outcome: Outcome, asked_at: float) -> None:
        """Note what came of a request."""
        self.ledger.answered(outcome)
        is_change = intent.operation.is_upload or intent.operation is Operation.DELETE
        if not is_change:
            return
        if outcome.verdict is Verdict.UNKNOWN:
            document.is_uncertain = True
        if outcome.verdict is not Verdict.OK:
            return
        document.newest = intent if intent.operation.is_upload else None
        document.task_id = outcome.task_id
        if outcome.task_id not in self.tasks:
            self.tasks[outcome.task_id] = Accepted(
                intent=intent, document=document, version=outcome.version, asked_at=asked_at
            )
            self.open_tasks.add(outcome.task_id)

    def asked_for_run(self, intent: Intent, outcome: Outcome) -> None:
        """Note that an answer named a run: a new one, or one that was under way."""
        if outcome.task_id not in self.runs:
            self.runs[outcome.task_id] = intent
            self.open_others.add(outcome.task_id)

    def noticed(self, task_id: str, *, has_ended: bool) -> None:
        """Note where a task is that no answer to an upload or delete named."""
        if has_ended or task_id in self.tasks:
            self.open_others.discard(task_id)
        else:
            self.open_others.add(task_id)

    def ended(self, task_id: str, status: str) -> Accepted | None:
        """Note that a task was told to have ended; returns it the first time."""
        if task_id not in self.open_tasks:
            return None
        self.open_tasks.discard(task_id)
        accepted = self.tasks[task_id]
        if status == TaskStatus.SUCCEEDED:
            if accepted.intent.operation is Operation.DELETE:
                self._forget(accepted)
            else:
                accepted.document.floor = max(accepted.document.floor, accepted.version)
        return accepted

    def _forget(self, delete: Accepted) -> None:
        """Views forget a deleted document's tasks: their ends are told to nobody."""
        delete.document.floor = 0
        for task_id in list(self.open_tasks):
            task = self.tasks[task_id]
            if task.document is delete.document and task.version < delete.version:
                self.open_tasks.discard(task_id)
