"""What the clients know of each document and task while they work."""

from dataclasses import dataclass, field

from kartoteka_contracts.ids import CabinetId, document_id
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

    @property
    def document_id(self) -> str:
        """The id that the API gives it."""
        return document_id(CabinetId(self.cabinet), self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A task that an answer named."""

    intent: Intent
    document: Known
    asked_at: float
    """Monotonic seconds at which the request began."""


@dataclass(slots=True)
class Book:
    """All documents and accepted tasks."""

    ledger: Ledger
    documents: list[Known] = field(default_factory=list)
    tasks: dict[str, Accepted] = field(default_factory=dict)
    open_tasks: set[str] = field(default_factory=set)

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
                intent=intent, document=document, asked_at=asked_at
            )
            self.open_tasks.add(outcome.task_id)
