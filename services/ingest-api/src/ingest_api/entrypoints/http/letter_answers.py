"""Dead letters as answers: what is said of one, and of what became of it."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict, JsonValue

from ingest_api.domain.dead_letter import StoredLetter
from ingest_api.entrypoints.http.wording import public_words
from ingest_api.letter_ports import RawLetter
from ingest_api.usecases.resolve_dead_letters import LetterOutcome
from kartoteka_contracts.dead_letter import Resolution
from kartoteka_contracts.errors import KartotekaError

__all__ = ["LetterAnswer", "LetterResult", "RawLetterAnswer", "answer_of", "raw_answer_of"]

_EXAMPLE: Final[dict[str, JsonValue]] = {
    "id": "3-17",
    "cabinet_id": 1,
    "document_id": "5b1f4c1e-6d0a-5c3e-9b57-0a1b2c3d4e5f",
    "external_id": "contract.pdf",
    "task_id": "0198f2c4-b7a9-7d0e-8f5c-2a1b3d4e5f60",
    "reason": "malformed",
    "message": "the file is damaged",
    "stage": "parsing",
    "attempts": 1,
    "first_failed_at": "2026-01-02T03:04:07Z",
    "dead_at": "2026-01-02T03:04:07Z",
    "origin": {"topic": "documents.interactive", "partition": 3, "offset": 42},
    "replays": 0,
    "resolution": None,
}
_RAW_BYTES: Final = 64 * 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LetterOrigin(BaseModel):
    """Where a record lay that could not be worked on."""

    topic: str
    partition: int
    offset: int


class LetterResolution(BaseModel):
    """What became of a dead letter."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: Resolution
    task_id: str | None
    """The task of the replay; null where the record could not be read, or was discarded."""


class LetterAnswer(BaseModel):
    """A dead letter: work that failed for good, and why."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, json_schema_extra={"examples": [_EXAMPLE]}
    )

    id: str
    """``{partition}-{offset}`` of its place on the dead letters' topic."""
    cabinet_id: int | None
    """null where it cannot be read; such letters are for keys of all cabinets only."""
    document_id: str | None
    external_id: str | None
    """The caller's name of the document, where the record can be read."""
    task_id: str | None
    """The task that failed; null where the record could not be read."""
    reason: str
    """An error code; ``docs/errors.md`` lists them all."""
    message: str
    """What happened. Inner reasons are told to keys of all cabinets only."""
    stage: str
    """The stage that failed; ``decoding`` where the record could not be read."""
    attempts: int
    """Tries made, the first included."""
    first_failed_at: datetime
    dead_at: datetime
    origin: LetterOrigin
    replays: int
    """How often this work had been replayed before it ended here."""
    resolution: LetterResolution | None
    """null while nobody has dealt with it."""


class RawLetterAnswer(LetterAnswer):
    """A dead letter with its raw record."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _EXAMPLE
                | {
                    "value": '{"type": "document_submitted", "schema_version": 1}',
                    "encoding": "text",
                    "size": 47,
                    "is_cut": False,
                    "headers": {"x-reason": "malformed", "x-stage": "parsing"},
                }
            ]
        }
    )

    value: str | None
    """The record's value, at most its first 64 KiB; null where Kafka no longer has it."""
    encoding: str
    """``text`` (UTF-8) or ``base64``."""
    size: int
    """Bytes of the whole value."""
    is_cut: bool
    headers: dict[str, str]
    """As on the dead letters' topic."""


class LetterFault(BaseModel):
    """Why nothing became of a letter."""

    code: str
    message: str


class LetterResult(BaseModel):
    """What became of one letter; in a dry run, what would."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    task_id: str | None
    """The task of the replay, to be followed as any other."""
    error: LetterFault | None
    """null where it was done."""

    @classmethod
    def of(cls, outcome: LetterOutcome) -> "LetterResult":
        """Return the answer."""
        error = outcome.error
        return cls(
            id=str(outcome.id),
            task_id=outcome.task_id,
            error=None if error is None else _fault(error),
        )


def _fault(error: KartotekaError) -> LetterFault:
    return LetterFault(code=error.code, message=public_words(error.code, error.message))


def answer_of(letter: StoredLetter, *, is_inner: bool) -> LetterAnswer:
    """Return a letter's answer.

    Args:
        letter: which.
        is_inner: whether the caller may know addresses, keys of object storage and bugs' words.
    """
    dead, content, resolved = letter.letter, letter.content, letter.resolved
    return LetterAnswer(
        id=str(letter.id),
        cabinet_id=content.cabinet_id,
        document_id=content.document_id,
        external_id=content.external_id,
        task_id=dead.task_id or None,
        reason=dead.reason,
        message=dead.message if is_inner else public_words(dead.reason, dead.message),
        stage=dead.stage,
        attempts=dead.attempts,
        first_failed_at=_moment(dead.first_failed_at_ms),
        dead_at=letter.dead_at,
        origin=LetterOrigin(
            topic=dead.origin_topic, partition=dead.origin_partition, offset=dead.origin_offset
        ),
        replays=content.replays,
        resolution=(
            None
            if resolved is None
            else LetterResolution(kind=resolved.resolution, task_id=resolved.task_id)
        ),
    )


def raw_answer_of(
    letter: StoredLetter, raw: RawLetter | None, *, is_inner: bool
) -> RawLetterAnswer:
    """Return a letter's answer with what lies on the topic."""
    said = answer_of(letter, is_inner=is_inner)
    headers = {} if raw is None else {name: _text(value) for name, value in raw.headers}
    if "x-message" in headers:
        headers["x-message"] = said.message
    value, encoding = (None, "text") if raw is None else _shown(raw.value[:_RAW_BYTES])
    size = 0 if raw is None else len(raw.value)
    return RawLetterAnswer(
        **said.model_dump(),
        value=value,
        encoding=encoding,
        size=size,
        is_cut=size > _RAW_BYTES,
        headers=headers,
    )


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _shown(value: bytes) -> tuple[str, str]:
    """Return bytes as JSON can carry them; a character that was cut in two is left out."""
    try:
        return value.decode(), "text"
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and len(value) == _RAW_BYTES:
            return value[: error.start].decode(), "text"
        return base64.b64encode(value).decode(), "base64"


def _moment(milliseconds: int) -> datetime:
    """Return a time; what a foreign producer wrote may be none, and is then the nearest one."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if milliseconds > 0 else _EPOCH
