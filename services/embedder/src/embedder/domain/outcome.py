"""What a try at a job came to: a closed union, each member settled in its own way."""

from dataclasses import dataclass
from typing import TypeAlias

from kartoteka_contracts.events import IndexResult

__all__ = ["Empty", "Failed", "Indexed", "Outcome", "Superseded", "Unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """Published: a search finds it."""

    result: IndexResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty:
    """Read, and there is no text in it; nothing of the document is searchable any more."""

    result: IndexResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The same bytes, read the same way, with the same metadata, are published already."""

    result: IndexResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Given up for good; what was published before stays searchable."""

    code: str
    message: str
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """Newer work of the document stands."""


Outcome: TypeAlias = Indexed | Empty | Unchanged | Failed | Superseded
