"""A dead letter as the view keeps it: what failed for good, why, and what became of it."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Self

from kartoteka_contracts.dead_letter import DeadLetter, Resolution
from kartoteka_contracts.ids import CabinetId, DocumentId, TaskId, Version

__all__ = ["LetterContent", "LetterId", "Resolved", "StoredLetter"]

_ID: Final = re.compile(r"(0|[1-9]\d{0,5})-(0|[1-9]\d{0,17})", re.ASCII)


class LetterId(NamedTuple):
    """Where a letter lies on its topic, which is its name as well: ``{partition}-{offset}``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read an id; None where it can be none."""
        found = _ID.fullmatch(text)
        return None if found is None else cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterContent:
    """What the raw value says, as far as it can be read."""

    cabinet_id: CabinetId | None = None
    document_id: DocumentId | None = None
    external_id: str | None = None
    version: Version | None = None
    replays: int = 0
    """How often its work was replayed before it died again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What became of a letter."""

    resolution: Resolution
    task_id: TaskId | None
    """The task of the replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLetter:
    """One dead letter."""

    id: LetterId
    key: str
    """As Kafka has it: marks with this key lie behind the letter."""
    letter: DeadLetter
    content: LetterContent
    dead_at: datetime
    resolved: Resolved | None = None
