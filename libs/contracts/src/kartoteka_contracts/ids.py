"""Identifiers: how they are named, typed and derived.

Ids are derived wherever a replay must be an overwrite; only a task id is made anew.
"""

import os
import time
import unicodedata
from datetime import UTC, datetime
from typing import Final, NewType
from uuid import UUID, uuid5

__all__ = [
    "MAX_EXACT_INTEGER",
    "CabinetId",
    "DocumentId",
    "Epoch",
    "PointId",
    "TaskId",
    "Version",
    "child_task_id",
    "document_id",
    "new_task_id",
    "normalised_external_id",
    "point_id",
    "replay_task_id",
    "run_task_id",
]

CabinetId = NewType("CabinetId", int)
"""A tenant: a positive integer."""

DocumentId = NewType("DocumentId", str)
"""uuid5 of cabinet and external id, in canonical text form."""

TaskId = NewType("TaskId", str)
"""One accepted piece of work: a UUIDv7 (or a uuid5 where it is derived), in canonical text form."""

PointId = NewType("PointId", str)
"""A point in the chunk collection, in canonical text form."""

Version = NewType("Version", int)
"""Microseconds since the epoch, raised above every older version of the same document."""

Epoch = NewType("Epoch", int)
"""0 for an upload or a delete; microseconds for a reindex or replay of the same version."""

MAX_EXACT_INTEGER: Final = 2**53 - 1
"""Versions and epochs stay at or below it: Qdrant compares ranges as float64."""

_NAMESPACE: Final = UUID("6f1d2f5c-3a0e-5c0b-9a57-4b6172746f74")


def normalised_external_id(name: str) -> str:
    """Return the caller's name of a document in Unicode NFC, so that two spellings are one name."""
    return unicodedata.normalize("NFC", name)


def document_id(cabinet_id: CabinetId, external_id: str) -> DocumentId:
    """Return the id of the document that a cabinet knows by ``external_id``."""
    name = f"{cabinet_id}/{normalised_external_id(external_id)}"
    return DocumentId(str(uuid5(_NAMESPACE, name)))


def point_id(
    cabinet_id: CabinetId, document: DocumentId, version: Version, epoch: Epoch, n: int
) -> PointId:
    """Return the id of chunk ``n`` of one decided piece of work: redelivery overwrites itself."""
    return PointId(str(uuid5(_NAMESPACE, f"{cabinet_id}|{document}|{version}|{epoch}|{n}")))


def new_task_id() -> TaskId:
    """Return a fresh UUIDv7 (RFC 9562): 48 bits of milliseconds, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    raw = bytearray(milliseconds.to_bytes(6, "big") + os.urandom(10))
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return TaskId(str(UUID(bytes=bytes(raw))))


def replay_task_id(task: TaskId, n: int) -> TaskId:
    """Return the id of the ``n``-th replay of a task."""
    return TaskId(str(uuid5(UUID(task), f"replay/{n}")))


def child_task_id(run: TaskId, document: DocumentId) -> TaskId:
    """Return the id of a reindex run's task for one document."""
    return TaskId(str(uuid5(UUID(run), document)))


def run_task_id(cabinet: CabinetId, slot: datetime) -> TaskId:
    """Return the id of a cabinet's run for one slot of its schedule (aware): emitted twice, once.

    The same instant is the same run, in whatever time zone it is written.
    """
    at = slot.astimezone(UTC).isoformat(timespec="seconds")
    return TaskId(str(uuid5(_NAMESPACE, f"run/{cabinet}/{at}")))
