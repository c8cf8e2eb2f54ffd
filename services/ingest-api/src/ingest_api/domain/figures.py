"""What a view counts for metrics: never an id, so it stays small whatever the view holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique

__all__ = ["Backlog", "ViewFigures", "Waiting"]


@unique
class Backlog(StrEnum):
    """What open tasks are among."""

    INTERACTIVE = "interactive"
    BULK = "bulk"
    RETRY = "retry"
    """Once a try has failed."""
    BULK_RETRY = "bulk_retry"
    """The same of what is indexed anew: nobody waits for it as for an upload."""
    RUN = "run"
    """Reindex runs, which are no documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Open tasks of one sort."""

    count: int = 0
    since: datetime | None = None
    """When the oldest was asked for; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewFigures:
    """What a view holds at one moment."""

    waiting: Mapping[Backlog, Waiting]
    """Of every sort."""
    letters_open: int
    """Dead letters that were neither replayed nor discarded."""
