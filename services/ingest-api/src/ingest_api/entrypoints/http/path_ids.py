"""Ids in paths and cursors in queries. What cannot be an id is answered as an unknown one."""

import re
from typing import Final

from ingest_api.domain.instant import microseconds, moment
from ingest_api.read_ports import TaskPlace
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import MAX_EXACT_INTEGER, CabinetId, DocumentId, TaskId

__all__ = [
    "cabinet_cursor",
    "cabinet_in_path",
    "document_cursor",
    "document_in_path",
    "task_cursor",
    "task_in_path",
    "task_place",
]

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PLACE: Final = re.compile(rf"(\d{{1,17}})\.({_UUID.pattern})", re.ASCII)


def task_in_path(text: str) -> TaskId:
    """Return a path's task id. Raises RequestError("not_found") where it can be none."""
    return TaskId(_uuid(text))


def document_in_path(text: str) -> DocumentId:
    """Return a path's document id. Raises RequestError("not_found") where it can be none."""
    return DocumentId(_uuid(text))


def cabinet_in_path(text: str) -> CabinetId:
    """Return a path's or query's cabinet.

    Raises:
        RequestError: ``invalid_request``: no positive integer.
    """
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_EXACT_INTEGER))
    if not is_number or not 0 < int(text) <= MAX_EXACT_INTEGER:
        raise RequestError("invalid_request", "a cabinet is a positive integer")
    return CabinetId(int(text))


def task_place(cursor: str) -> TaskPlace:
    """Return the place that a cursor names. Raises RequestError("invalid_request")."""
    found = _PLACE.fullmatch(cursor)
    if found is None:
        raise _bad_cursor()
    return TaskPlace(accepted_at=moment(int(found[1])), task_id=TaskId(found[2]))


def task_cursor(place: TaskPlace) -> str:
    """Return the cursor that :func:`task_place` reads."""
    return f"{microseconds(place.accepted_at)}.{place.task_id}"


def cabinet_cursor(cursor: str) -> CabinetId:
    """Return the cabinet that a cursor names. Raises RequestError("invalid_request")."""
    try:
        return cabinet_in_path(cursor)
    except RequestError as error:
        raise _bad_cursor() from error


def document_cursor(cursor: str) -> DocumentId:
    """Return the id that a cursor names. Raises RequestError("invalid_request")."""
    if _UUID.fullmatch(cursor) is None:
        raise _bad_cursor()
    return DocumentId(cursor)


def _uuid(text: str) -> str:
    text = text.lower()
    if _UUID.fullmatch(text) is None:
        raise RequestError("not_found")
    return text


def _bad_cursor() -> RequestError:
    return RequestError("invalid_request", "the cursor is none that was given")
