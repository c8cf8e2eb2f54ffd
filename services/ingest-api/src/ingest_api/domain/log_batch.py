"""What a view takes from the log in one go: what was seen, and where to read on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from ingest_api.domain.dead_letter import LetterContent
from ingest_api.domain.task import Task
from kartoteka_contracts.cabinets import CabinetConfigured
from kartoteka_contracts.dead_letter import DeadLetter, DeadLetterMark
from kartoteka_contracts.ids import CabinetId, TaskId
from kartoteka_contracts.tasks import TaskKind, TaskStatus

__all__ = [
    "Applied",
    "CabinetSettled",
    "CabinetSighting",
    "DeadLetterSeen",
    "LetterMarked",
    "LogBatch",
    "Partition",
    "TaskSeen",
]


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSeen:
    """One record's say about a task."""

    task: Task
    is_compacted: bool
    """Whether it lay on the topic of which compaction keeps the last record of each task."""
    logged_at: datetime
    """The record's own time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterSeen:
    """A dead letter, and where its raw value lies."""

    partition: Partition
    offset: int
    key: str
    letter: DeadLetter
    logged_at: datetime
    content: LetterContent


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterMarked:
    """A dead letter is dealt with."""

    mark: DeadLetterMark
    logged_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CabinetSighting:
    """A cabinet got its first upload; ``seen_at`` is None where the record takes that back."""

    cabinet_id: CabinetId
    seen_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CabinetSettled:
    """A cabinet got settings; ``configured`` is None where the record takes them back."""

    cabinet_id: CabinetId
    configured: CabinetConfigured | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """Records of any topics in the order of their partitions, and the offsets after them."""

    positions: Mapping[Partition, int]
    """The next offset to read, of every partition that moved."""
    tasks: tuple[TaskSeen, ...] = ()
    dead_letters: tuple[DeadLetterSeen, ...] = ()
    marks: tuple[LetterMarked, ...] = ()
    cabinets: tuple[CabinetSighting | CabinetSettled, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a batch did."""

    changed: frozenset[TaskId] = field(default_factory=frozenset)
    """Tasks that look different now."""
    dropped: int = 0
    """Records that changed nothing: repeated, overtaken or too old."""
    to_repair: int = 0
    """Records below the stored state that are their key's last on the compacted topic."""
    ended: Mapping[tuple[TaskKind, TaskStatus], int] = field(default_factory=dict)
    """Tasks that came to their end, by what they do and how they ended."""
