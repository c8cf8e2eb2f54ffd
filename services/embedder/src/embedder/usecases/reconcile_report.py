"""What reconciliation saw, what it mended, and what it left."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum, unique
from typing import Any

from kartoteka_contracts.operations import ReconcileEnded

__all__ = ["Left", "Mend", "Report", "Seen"]


@unique
class Seen(StrEnum):
    """What was looked at."""

    CABINETS = "cabinets"
    DOCUMENTS = "documents"
    RECORDS = "records"
    CABINET_DELETIONS = "cabinet_deletions"
    CHUNKS = "chunks"
    BODIES = "bodies"
    CLAIMS = "claims"
    RUNS = "runs"
    """Reindex runs that are open, or keep something."""
    SETTINGS = "settings"


@unique
class Mend(StrEnum):
    """What was sent again, or removed."""

    SUBMITTED = "document_submitted"
    DELETION = "document_deletion_requested"
    CANCELLATION = "task_cancellation_requested"
    CABINET_DELETION = "cabinet_deletion_requested"
    ORPHAN_WORKS = "orphan_works"
    """Works of which chunks were removed: document, version and epoch."""
    ORPHAN_CHUNKS = "orphan_chunks"
    BODIES_WITHOUT_RECORD = "bodies_without_record"
    OBSOLETE_BODIES = "obsolete_bodies"
    """Bodies that only records name which nothing can ask for."""
    OLD_RECORDS = "old_records"
    TOMBSTONES = "tombstones"
    """Deleted documents of which nothing is left now, not even that they were deleted."""
    CANCEL_MARKS = "cancel_marks"
    FINISHED_CABINET_DELETIONS = "finished_cabinet_deletions"
    """Requests that were marked: nothing is left to do for them."""
    REOPENED_CABINET_DELETIONS = "reopened_cabinet_deletions"
    """Such marks that were removed: something came later that is to be deleted, too."""
    OLD_CABINET_DELETIONS = "old_cabinet_deletions"
    """Requests that were removed."""
    OLD_CLAIMS = "old_claims"
    REINDEX = "reindex_requested"
    RUN_STEP = "run_continued"
    OLD_RUNS = "old_run_objects"
    """What runs kept that have ended, or never were the cabinet's current one."""
    SETTINGS = "cabinet_configured"
    """Settings that are new: whether their event was lost is not known."""
    OLD_SETTINGS = "old_settings"


@unique
class Left(StrEnum):
    """What was left alone for this time, and why."""

    YOUNG = "young"
    """Records whose event may be on its way, or stand behind an older event."""
    WAITING = "waiting"
    """Works with an event that is not processed yet."""
    UNREADABLE = "unreadable"
    """Objects that are damaged, or of another release."""
    UNDECIDED = "undecided"
    """Works with chunks that nothing publishes, and that a record may still complete."""


@dataclass(slots=True, kw_only=True)
class Report:
    """Figures of one run, which grow as it goes on."""

    is_dry: bool = False
    seconds: float = 0.0
    seen: Counter[Seen] = field(default_factory=Counter)
    mended: Counter[Mend] = field(default_factory=Counter)
    left: Counter[Left] = field(default_factory=Counter)
    not_done: Counter[Mend] = field(default_factory=Counter)
    """What a dry run would have mended."""
    cabinets_total: int = 0

    def mend(self, what: Mend, count: int = 1) -> None:
        """Count what was mended, or would have been."""
        (self.not_done if self.is_dry else self.mended)[what] += count

    def as_json(self) -> dict[str, Any]:
        """Return the summary; every kind is there, also where there was nothing of it."""
        return {
            "dry_run": self.is_dry,
            "seconds": round(self.seconds, 3),
            "seen": _whole(Seen, self.seen),
            "mended": _whole(Mend, self.mended),
            "left": _whole(Left, self.left),
            "not_done": _whole(Mend, self.not_done) if self.is_dry else {},
        }

    def ended(self, *, is_ok: bool) -> ReconcileEnded:
        """Return the event that tells how it ended, now."""
        return ReconcileEnded(
            at=datetime.now(UTC),
            is_ok=is_ok,
            seconds=self.seconds,
            seen=_whole(Seen, self.seen),
            mended=_whole(Mend, self.mended),
            left=_whole(Left, self.left),
        )


def _whole(kinds: type[StrEnum], counts: Mapping[Any, int]) -> dict[str, int]:
    return {str(kind): counts.get(kind, 0) for kind in kinds}
