"""Where bodies, records and what belongs to them lie in object storage."""

import hashlib

from kartoteka_contracts.ids import CabinetId, DocumentId, TaskId, Version

__all__ = [
    "bodies_prefix",
    "body_key",
    "body_prefix",
    "cabinet_deletion_finished",
    "cabinet_deletion_finished_key",
    "cabinet_deletion_key",
    "cabinet_deletions_prefix",
    "cabinet_settings_key",
    "cabinet_settings_prefix",
    "cancel_key",
    "claim_key",
    "claim_prefix",
    "document_of",
    "record_key",
    "record_prefix",
    "record_version",
    "records_prefix",
    "run_page_key",
    "run_plan_key",
    "run_prefix",
    "runs_prefix",
]


def body_key(cabinet: CabinetId, document: DocumentId, task: TaskId) -> str:
    """Return the key of an uploaded body: written once, by one task."""
    return f"{body_prefix(cabinet, document)}{task}"


def body_prefix(cabinet: CabinetId, document: DocumentId) -> str:
    """Return the prefix of all bodies of a document, with the closing slash."""
    return f"{bodies_prefix(cabinet)}{document}/"


def bodies_prefix(cabinet: CabinetId) -> str:
    """Return the prefix of all bodies of a cabinet, with the closing slash."""
    return f"cabinets/{cabinet}/bodies/"


def document_of(key: str) -> DocumentId:
    """Return the document of a body, a record or what lies beside one."""
    return DocumentId(key.split("/")[3])


def records_prefix(cabinet: CabinetId) -> str:
    """Return the prefix of all records of a cabinet, with the closing slash."""
    return f"cabinets/{cabinet}/records/"


def record_prefix(cabinet: CabinetId, document: DocumentId) -> str:
    """Return the prefix of all records of a document, with the closing slash."""
    return f"{records_prefix(cabinet)}{document}/"


def record_key(cabinet: CabinetId, document: DocumentId, version: Version) -> str:
    """Return the key of one record; names sort as versions do."""
    return f"{record_prefix(cabinet, document)}{version:016d}.json"


def record_version(key: str) -> Version | None:
    """Return the version that a record's key names, or None where the key is no record's."""
    stem, dot, ending = key.rpartition("/")[2].partition(".")
    return Version(int(stem)) if dot and ending == "json" and stem.isdecimal() else None


def cancel_key(cabinet: CabinetId, document: DocumentId, version: Version, task: TaskId) -> str:
    """Return the key of the mark that a task is to be cancelled, beside its record.

    It names the task, since a replay of the same version is another one.
    """
    return f"{record_prefix(cabinet, document)}{version:016d}.{task}.cancelled"


def cabinet_deletions_prefix(cabinet: CabinetId) -> str:
    """Return the prefix of all requests to delete a cabinet, with the closing slash."""
    return f"cabinets/{cabinet}/deletions/"


def cabinet_deletion_key(cabinet: CabinetId, version: Version) -> str:
    """Return the key of one request to delete a cabinet up to a version: its event, as JSON.

    It is there before the event is sent, so that the event can be sent again.
    :func:`record_version` reads its version.
    """
    return f"{cabinet_deletions_prefix(cabinet)}{version:016d}.json"


def cabinet_deletion_finished_key(cabinet: CabinetId, version: Version) -> str:
    """Return the key of the mark, beside a request to delete a cabinet, that nothing is left to do.

    :func:`cabinet_deletion_finished` reads its version.
    """
    return f"{cabinet_deletions_prefix(cabinet)}{version:016d}.finished"


def cabinet_deletion_finished(key: str) -> Version | None:
    """Return the version that such a mark names, or None where the key is no mark's."""
    stem, _, ending = key.rpartition("/")[2].partition(".")
    return Version(int(stem)) if ending == "finished" and stem.isdecimal() else None


def cabinet_settings_prefix(cabinet: CabinetId) -> str:
    """Return the prefix of all settings that a cabinet had, with the closing slash."""
    return f"cabinets/{cabinet}/settings/"


def cabinet_settings_key(cabinet: CabinetId, version: Version) -> str:
    """Return the key of one version of a cabinet's settings: its event, as JSON.

    It is there before the event is sent; the newest counts. :func:`record_version` reads its
    version.
    """
    return f"{cabinet_settings_prefix(cabinet)}{version:016d}.json"


def runs_prefix(cabinet: CabinetId) -> str:
    """Return the prefix of all that a cabinet's reindex runs keep, with the closing slash."""
    return f"cabinets/{cabinet}/runs/"


def run_prefix(cabinet: CabinetId, run: TaskId) -> str:
    """Return the prefix of all that one reindex run keeps, with the closing slash."""
    return f"{runs_prefix(cabinet)}{run}/"


def run_plan_key(cabinet: CabinetId, run: TaskId) -> str:
    """Return the key of a run's plan, which is there once all its pages are."""
    return f"{run_prefix(cabinet, run)}plan.json"


def run_page_key(cabinet: CabinetId, run: TaskId, n: int) -> str:
    """Return the key of the ``n``-th page (from 0) of what a run has to do."""
    return f"{run_prefix(cabinet, run)}{n:06d}.json"


def claim_prefix() -> str:
    """Return the prefix of all claims on idempotency keys."""
    return "idempotency/"


def claim_key(key_id: str, cabinet: CabinetId, idempotency_key: str, n: int) -> str:
    """Return the key of the ``n``-th claim (from 0) that an Idempotency-Key led to.

    Args:
        key_id: the public part of the API key: two callers' keys never meet.
        cabinet: which the request is about.
        idempotency_key: as the caller sent it; hashed, since it may be any text.
        n: how many versions that were claimed before turned out to be taken.
    """
    digest = hashlib.sha256(f"{cabinet}/{idempotency_key}".encode()).hexdigest()
    return f"{claim_prefix()}{key_id}/{digest}/{n:04d}.json"
