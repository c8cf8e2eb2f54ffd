"""What a dead letter's work is when it is tried again."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from ingest_api.domain.dead_letter import StoredLetter
from ingest_api.domain.instant import microseconds
from kartoteka_contracts.codec import decode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
)
from kartoteka_contracts.ids import TaskId, replay_task_id
from kartoteka_contracts.wire import Event

__all__ = ["Replay", "replay_of"]

_BULK: Final = "documents.bulk"
_OURS: Final = frozenset({"documents.interactive", _BULK, "cabinets.reindex"})
"""Topics of work that this service produces to; what came from another one goes to bulk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A record to produce."""

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    task_id: TaskId | None
    """The task that it will be; None where the value cannot be read."""
    replays: int = 0
    """How often the work will have been replayed, this time included."""


def replay_of(letter: StoredLetter, value: bytes, now: datetime) -> Replay:
    """Return the record that tries a letter's work again.

    Readable work becomes a new task of a higher epoch, whose id depends on nothing but the task
    that failed: replaying the same letter twice is one task. What cannot be read goes back
    unchanged to where it came from, for workers that may be able to read it now.
    """
    try:
        event = decode(value)
    except EventError:
        return _unchanged(letter, value)
    match event:
        case DocumentSubmitted() | DocumentDeletionRequested() | CabinetDeletionRequested():
            replays = event.replays + 1
            task_id = replay_task_id(event.task_id, replays)
            return Replay(
                topic=_BULK,
                key=event.key,
                value=_changed(
                    value,
                    task_id=task_id,
                    # Another replica's clock may have been ahead when it was replayed before.
                    epoch=max(microseconds(now), event.epoch + 1),
                    replay_of=event.task_id,
                    replays=replays,
                ),
                headers=_headers(event, task_id),
                task_id=task_id,
                replays=replays,
            )
        case TaskCancellationRequested():
            # It has no task of its own: it ends another's, which is as true as it was.
            return Replay(
                topic=_BULK,
                key=event.key,
                value=value,
                headers=_headers(event, event.task_id),
                task_id=event.task_id,
            )
        case _:
            return _unchanged(letter, value)


def _unchanged(letter: StoredLetter, value: bytes) -> Replay:
    origin = letter.letter.origin_topic
    return Replay(
        topic=origin if origin in _OURS else _BULK, key=letter.key, value=value, task_id=None
    )


def _changed(value: bytes, **fields: Any) -> bytes:
    """Return the same JSON with other values; what only a newer release knows stays in it."""
    return json.dumps(json.loads(value) | fields, ensure_ascii=False).encode()


def _headers(event: Event, task_id: TaskId) -> tuple[tuple[str, bytes], ...]:
    return tuple(Envelope(event_id=str(uuid5(UUID(task_id), event.type))).to_headers())
