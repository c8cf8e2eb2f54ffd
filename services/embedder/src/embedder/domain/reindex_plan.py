"""What a run has to do: the pages and the plan that it keeps, and what it would come to."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Annotated, Final

from pydantic import Field

from embedder.domain.reindex_verdict import Reason
from kartoteka_contracts.events import SourceObject
from kartoteka_contracts.ids import Epoch, Version
from kartoteka_contracts.reindex import ReindexMode, RunCounts, RunError
from kartoteka_contracts.wire import (
    DocumentField,
    EpochField,
    NameField,
    VersionField,
    Wire,
)

__all__ = [
    "PAGE_SIZE",
    "Action",
    "Entry",
    "Page",
    "PageNotes",
    "Plan",
    "RunForecast",
    "counted",
    "estimated",
    "forecast_seconds",
]

PAGE_SIZE: Final = 500
"""Entries of a page: what one step sends."""

PACE: Final = 40.0
"""Chunks a second, where no run of the cabinet has told: what one worker with two cores does."""
CHUNKS: Final = 12
"""Chunks of a document, where the cabinet has none that tells."""

_Count = Annotated[int, Field(ge=0)]


@unique
class Action(StrEnum):
    """What is to be done about a document."""

    INDEX = "index"
    """Index the newest version once more, under the run's epoch."""
    COPY = "copy"
    """Copy a source's object, as a new version."""
    DELETE = "delete"
    """Delete it, since its object is gone."""


class Entry(Wire):
    """One document of a run. Its version and epoch are fixed here, however often it is sent."""

    document_id: DocumentField
    external_id: NameField
    action: Action
    reason: Reason
    expected: Annotated[int, Field(ge=0)]
    """The newest version when the run was planned; 0 where there was none. A newer one wins."""
    version: VersionField
    epoch: EpochField = Epoch(0)
    is_forced: bool = False
    source: SourceObject | None = None
    """What to copy."""
    chunks: _Count | None = None
    """Published now: about as many as it will be; None where nothing is."""

    @property
    def work(self) -> tuple[Version, Epoch]:
        """(version, epoch): once this or more is decided, the entry is."""
        return (self.version, self.epoch)


class Page(Wire):
    """Some documents of a run. Written once."""

    entries: tuple[Entry, ...]


class PageNotes(Wire):
    """What became of entries that were not sent. Written once, after the rest of the page is."""

    errors: tuple[RunError, ...] = ()
    overtaken: tuple[DocumentField, ...] = ()

    def joined(self, later: "PageNotes") -> "PageNotes":
        """Return these with those of a later send; of what both tell of, these count."""
        told = {error.document_id for error in self.errors} | set(self.overtaken)
        errors = [error for error in later.errors if error.document_id not in told]
        overtaken = [document for document in later.overtaken if document not in told]
        return PageNotes(errors=(*self.errors, *errors), overtaken=(*self.overtaken, *overtaken))


class Plan(Wire):
    """A run as planned. Written once, after all its pages."""

    pages: _Count
    total: _Count
    """Documents that the run has work for, those that cannot be begun included."""
    entries: _Count
    """On its pages."""
    chunks: _Count
    """Estimated, to be embedded."""
    counts: RunCounts
    errors: tuple[RunError, ...] = ()
    """Of objects that can be no document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunForecast:
    """What a run would do."""

    mode: ReindexMode
    total: int
    counts: RunCounts
    chunks: int
    """Estimated, to be embedded."""
    estimated_seconds: float
    fault: tuple[str, str] | None
    """Code and message of what the run would fail with; None where it would not."""


def counted(reasons: Mapping[Reason, int]) -> RunCounts:
    """Return the counts of a run."""
    found = {reason.value: number for reason, number in reasons.items()}
    return RunCounts(seen=sum(reasons.values()), **found)


def forecast_seconds(chunks: int, pace: float | None) -> float:
    """Return how long a run takes, at the pace of the last one (chunks a second)."""
    return chunks / (pace or PACE)


def estimated(known: int, unknown: int, average: float | None) -> int:
    """Return how many chunks are to be embedded.

    Args:
        known: chunks that the documents to be indexed have now.
        unknown: documents that have none yet.
        average: chunks of a document of the cabinet; None where it has none.
    """
    return known + round(unknown * (CHUNKS if average is None else average))
