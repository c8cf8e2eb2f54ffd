"""Where bodies and records lie in object storage."""

from kartoteka_contracts.ids import CabinetId, DocumentId, TaskId, Version

__all__ = ["body_key", "body_prefix", "record_key", "record_prefix", "record_version"]


def body_key(cabinet: CabinetId, document: DocumentId, task: TaskId) -> str:
    """Return the key of an uploaded body: written once, by one task."""
    return f"{body_prefix(cabinet, document)}{task}"


def body_prefix(cabinet: CabinetId, document: DocumentId) -> str:
    """Return the prefix of all bodies of a document, with the closing slash."""
    return f"cabinets/{cabinet}/bodies/{document}/"


def record_prefix(cabinet: CabinetId, document: DocumentId) -> str:
    """Return the prefix of all records of a document, with the closing slash."""
    return f"cabinets/{cabinet}/records/{document}/"


def record_key(cabinet: CabinetId, document: DocumentId, version: Version) -> str:
    """Return the key of one record; names sort as versions do."""
    return f"{record_prefix(cabinet, document)}{version:016d}.json"


def record_version(key: str) -> Version | None:
    """Return the version that a record's key names, or None where the key is no record's."""
    stem, dot, ending = key.rpartition("/")[2].partition(".")
    return Version(int(stem)) if dot and ending == "json" and stem.isdecimal() else None
