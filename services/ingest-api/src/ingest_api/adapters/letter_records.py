"""Records of the dead letters' topic as what a view sees in them: letters and marks."""

import re
from datetime import UTC, datetime
from typing import Final

from ingest_api.adapters.log_record import LogRecord
from ingest_api.domain.dead_letter import LetterContent
from ingest_api.domain.log_batch import DeadLetterSeen, LetterMarked, Partition
from kartoteka_contracts.codec import decode
from kartoteka_contracts.dead_letter import DeadLetter, DeadLetterMark
from kartoteka_contracts.errors import EventError, MalformedEventError
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
)
from kartoteka_contracts.ids import MAX_EXACT_INTEGER, CabinetId, DocumentId

__all__ = ["letter_content", "letter_seen"]

_KEY: Final = re.compile(
    r"(?P<cabinet>[1-9]\d{0,15})(/((?P<document>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})|.*))?",
    re.ASCII | re.DOTALL,
)


def letter_seen(record: LogRecord) -> DeadLetterSeen | LetterMarked:
    """Read a letter or a mark.

    Raises:
        MalformedEventError: its headers cannot be read.
    """
    logged_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    try:
        mark = DeadLetterMark.from_headers(record.headers)
        if mark is not None:
            return LetterMarked(mark=mark, logged_at=logged_at)
        letter = DeadLetter.from_headers(list(record.headers))
    except (KeyError, ValueError) as error:
        raise MalformedEventError("the dead letter's headers cannot be read") from error
    key = "" if record.key is None else record.key.decode("utf-8", "replace")
    return DeadLetterSeen(
        partition=Partition(record.topic, record.partition),
        offset=record.offset,
        key=key,
        letter=letter,
        logged_at=logged_at,
        content=letter_content(key, record.value),
    )


def letter_content(key: str, value: bytes | None) -> LetterContent:
    """Return whose letter it is: what the value says; where it cannot be read, what the key says.

    A key that names no cabinet leaves the letter to those who may see all of them.
    """
    try:
        event = decode(value)
    except EventError:
        return _content_of_key(key)
    match event:
        case DocumentSubmitted():
            return LetterContent(
                cabinet_id=event.cabinet_id,
                document_id=event.document_id,
                external_id=event.external_id,
                version=event.version,
                replays=event.replays,
            )
        case DocumentDeletionRequested() | TaskCancellationRequested():
            return LetterContent(
                cabinet_id=event.cabinet_id,
                document_id=event.document_id,
                external_id=event.external_id,
                version=event.version,
            )
        case CabinetDeletionRequested():
            return LetterContent(cabinet_id=event.cabinet_id, version=event.version)
        case _:
            return _content_of_key(key)


def _content_of_key(key: str) -> LetterContent:
    found = _KEY.fullmatch(key)
    if found is None or int(found["cabinet"]) > MAX_EXACT_INTEGER:
        return LetterContent()
    document = found["document"]
    return LetterContent(
        cabinet_id=CabinetId(int(found["cabinet"])),
        document_id=None if document is None else DocumentId(document),
    )
