"""What is wrong, while a run goes on and after it."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum, unique

from tests.ledger.ledger import Ledger

__all__ = ["Finding", "Findings", "Kind"]


@unique
class Kind(StrEnum):
    """The ways to break a promise."""

    LOST = "lost"
    """An accepted document is unknown, did not become what was sent, or failed without cause."""
    STALE = "stale"
    """An older version is visible though a newer one succeeded, or versions do not rise."""
    ORPHANED = "orphaned"
    """A point that no manifest publishes, after reconciliation."""
    STUCK = "stuck"
    """A task without an end."""
    RESURRECTED = "resurrected"
    """Deleted, and still there in part."""
    LEAKED = "leaked"
    """An answer crossed cabinets."""
    REGRESSED = "gone back"
    """A status went back, or an end was not final."""
    MISSING = "missing"
    """Published, and not all of it is there or can be found."""
    TWIN = "twin"
    """One request with an Idempotency-Key led to two tasks, or work appeared that nobody asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken promise."""

    kind: Kind
    cabinet: int
    name: str
    """The document's external id."""
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: cabinet {self.cabinet}, {self.name}: {self.detail}"


class Findings:
    """All that was found. The first sets ``any``, for runs that stop there."""

    def __init__(self, ledger: Ledger) -> None:
        self.all: list[Finding] = []
        self.any = asyncio.Event()
        self._ledger = ledger

    def add(self, finding: Finding) -> None:
        """Take one in; the same again is left out."""
        if finding in self.all:
            return
        self.all.append(finding)
        self._ledger.note("finding", kind=finding.kind, text=str(finding))
        self.any.set()

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind, zeros included."""
        found = Counter(str(finding.kind) for finding in self.all)
        return {str(kind): found[str(kind)] for kind in Kind}
