"""Records: what was asked of a document, kept for good in object storage.

The newest record of a document is its desired state.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from kartoteka_contracts.events import Request, Submission
from kartoteka_contracts.tasks import TaskKind

__all__ = ["DeletionRecord", "DocumentRecord", "Record", "encode_record", "read_record"]


class DocumentRecord(Submission):
    """Index this version."""

    schema_version: Literal[1] = 1
    kind: Literal[TaskKind.INDEX] = TaskKind.INDEX


class DeletionRecord(Request):
    """Delete all versions up to this one."""

    schema_version: Literal[1] = 1
    kind: Literal[TaskKind.DELETE] = TaskKind.DELETE
    is_vanished: bool = False
    """Whether nobody asked for it, but the object that the document was copied from is gone: then
    it comes back with its object."""


Record = DocumentRecord | DeletionRecord

_RECORD: Final[TypeAdapter[Record]] = TypeAdapter(
    Annotated[DocumentRecord | DeletionRecord, Field(discriminator="kind")]
)


def encode_record(record: Record) -> bytes:
    """Return a record's JSON."""
    return record.model_dump_json().encode()


def read_record(content: bytes) -> Record | None:
    """Read a record; None where it is of another release, or damaged."""
    try:
        return _RECORD.validate_json(content)
    except ValidationError:
        return None
