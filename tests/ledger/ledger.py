"""The client's own book: what was asked and what was answered, on disk before anything else."""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, Self

__all__ = ["Change", "ChangeKind", "Intent", "Ledger", "Operation", "Outcome", "Verdict"]


@unique
class Operation(StrEnum):
    """What a client does."""

    NEW = "new"
    VERSION = "version"
    SAME = "same"
    METADATA = "metadata"
    DELETE = "delete"
    CANCEL = "cancel"
    DUPLICATE = "duplicate"
    CONFIGURE = "configure"
    REINDEX = "reindex"
    REPLAY = "replay"
    DELETE_CABINET = "delete cabinet"

    @property
    def is_upload(self) -> bool:
        """Whether it brings a body."""
        return self in {Operation.NEW, Operation.VERSION, Operation.SAME, Operation.METADATA}


@unique
class Verdict(StrEnum):
    """What a client knows of a request afterwards."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to be asked."""

    n: int
    operation: Operation
    cabinet: int
    name: str
    """The document's external id; of a cancel or duplicate, the one that it is about."""
    document_id: str = ""
    """Known from an earlier answer; empty for a first upload."""
    filename: str = ""
    sha256: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    canary: str = ""
    """In every piece of the text; empty where the file has none that can be read."""
    is_hostile: bool = False
    key: str = ""
    """Idempotency-Key, where one is sent."""
    task_id: str = ""
    """The task to cancel, or whose event is sent again."""
    wish: dict[str, Any] = field(default_factory=dict)
    """The body of a request about a cabinet as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was answered."""

    n: int
    verdict: Verdict
    status: int = 0
    """HTTP status; 0 where no answer came."""
    code: str = ""
    """Of the problem, or of the exception."""
    task_id: str = ""
    document_id: str = ""
    version: int = 0


@unique
class ChangeKind(StrEnum):
    """What happens to a file of a source."""

    CREATE = "create"
    CHANGE = "change"
    TOUCH = "touch"
    """It gets another time, and no other content."""
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is about to be done to a file of a source."""

    kind: ChangeKind
    path: str
    """Below the source."""
    at: float
    """Seconds since the epoch, before it is done."""
    sha256: str = ""
    size: int = 0
    canary: str = ""
    is_hostile: bool = False


class Ledger:
    """Append-only, one JSON object a line. Intents and outcomes are on disk on return."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.intents: dict[int, Intent] = {}
        self.outcomes: dict[int, list[Outcome]] = {}
        self.changes: list[Change] = []
        """In their order; each was done as soon as it was written down."""
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def intend(self, intent: Intent) -> None:
        """Write down what is about to be asked."""
        self.intents[intent.n] = intent
        self._write("intent", asdict(intent), is_durable=True)

    def change(self, change: Change) -> None:
        """Write down what is about to be done to a file."""
        self.changes.append(change)
        self._write("change", asdict(change), is_durable=True)

    def answered(self, outcome: Outcome) -> None:
        """Write down what came of it; once for every try."""
        self.outcomes.setdefault(outcome.n, []).append(outcome)
        self._write("outcome", asdict(outcome), is_durable=True)

    def note(self, what: str, **fields: Any) -> None:
        """Write down something seen or done, for whoever reads the history."""
        self._write(what, fields, is_durable=False)

    def outcome(self, n: int) -> Outcome:
        """Return what is known of an intent after all its tries."""
        tries = self.outcomes.get(n, [])
        for verdict in (Verdict.OK, Verdict.UNKNOWN):
            for outcome in tries:
                if outcome.verdict is verdict:
                    return outcome
        return tries[-1] if tries else Outcome(n=n, verdict=Verdict.UNKNOWN)

    def _write(self, what: str, fields: dict[str, Any], *, is_durable: bool) -> None:
        line = {"at": round(time.time(), 4), "what": what, **fields}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if is_durable:
            os.fsync(self._file.fileno())
