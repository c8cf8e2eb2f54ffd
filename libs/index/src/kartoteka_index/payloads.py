"""Payloads: what lies in Qdrant, and how it becomes values again."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from qdrant_client import models

from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, Version, point_id
from kartoteka_index.cabinet_filter import CABINET, cabinet_value
from kartoteka_index.facets import facets
from kartoteka_index.manifest import (
    Decision,
    Fault,
    Keep,
    Manifest,
    Outcome,
    Published,
    Starts,
)
from kartoteka_index.points import ChunkPoint
from kartoteka_index.search import Hit

__all__ = [
    "DOCUMENT_VECTOR",
    "WITHDRAWN",
    "begun",
    "chunk",
    "copied",
    "decided",
    "hit",
    "manifest",
    "nothing_decided",
    "work",
]

DOCUMENT_VECTOR: Final = [1.0]
"""A manifest is found by id or payload; Qdrant wants a vector all the same."""

_ABSENT: Final[dict[str, Any]] = {"outcome": None, "task_id": None, "published": None}

_MANIFEST: Final = TypeAdapter(Manifest)
_PUBLISHED: Final = TypeAdapter(Published)
_FAULT: Final = TypeAdapter(Fault)
_STARTS: Final = TypeAdapter(Starts)


def chunk(cabinet_id: CabinetId, point: ChunkPoint) -> models.PointStruct:
    """Return a chunk as it is stored."""
    return models.PointStruct(
        id=point_id(cabinet_id, point.document_id, point.version, point.epoch, point.n),
        vector=point.vector.tolist(),
        payload={
            CABINET: cabinet_value(cabinet_id),
            "document_id": point.document_id,
            "version": point.version,
            "epoch": point.epoch,
            "n": point.n,
            "external_id": point.external_id,
            "filename": point.filename,
            "text": point.text,
            "page": point.page,
            "start": point.start,
            "end": point.end,
            "metadata": dict(point.metadata),
            "facets": facets(point.metadata),
        },
    )


def copied(
    record: models.Record,
    cabinet_id: CabinetId,
    *,
    work: tuple[DocumentId, Version, Epoch],
    filename: str,
    metadata: Mapping[str, Any],
) -> models.PointStruct:
    """Return a stored chunk as one of another work, with what is said of the document anew."""
    document_id, version, epoch = work
    payload = record.payload or {}
    vector: Any = record.vector
    return models.PointStruct(
        id=point_id(cabinet_id, document_id, version, epoch, payload["n"]),
        vector=vector,
        payload=payload
        | {
            "version": version,
            "epoch": epoch,
            "filename": filename,
            "metadata": dict(metadata),
            "facets": facets(metadata),
        },
    )


def hit(payload: Mapping[str, Any], score: float) -> Hit:
    """Return a stored chunk as a search answers with it."""
    return Hit(
        text=payload["text"],
        score=score,
        document_id=DocumentId(payload["document_id"]),
        external_id=payload["external_id"],
        filename=payload["filename"],
        version=Version(payload["version"]),
        page=payload["page"],
        start=payload["start"],
        end=payload["end"],
        metadata=payload["metadata"],
    )


def work(payload: Mapping[str, Any]) -> tuple[DocumentId, Version, Epoch]:
    """Return the work that a stored chunk is of."""
    return (
        DocumentId(payload["document_id"]),
        Version(payload["version"]),
        Epoch(payload["epoch"]),
    )


def nothing_decided(
    cabinet_id: CabinetId, document_id: DocumentId, external_id: str, starts: Starts | None = None
) -> models.PointStruct:
    """Return the manifest that every decision is an increase of."""
    payload: dict[str, Any] = {
        CABINET: cabinet_value(cabinet_id),
        "document_id": document_id,
        "external_id": external_id,
        "fence": 0,
        "epoch": 0,
    }
    return models.PointStruct(
        id=document_id,
        vector=DOCUMENT_VECTOR,
        payload=payload if starts is None else payload | begun(starts),
    )


def begun(starts: Starts) -> dict[str, Any]:
    """Return the payload key that counts tries."""
    return {"starts": _STARTS.dump_python(starts)}


WITHDRAWN: Final[dict[str, Any]] = {"published": None, "affirmed": None}
"""The payload keys of a document of which nothing is published."""


def decided(decision: Decision) -> dict[str, Any]:
    """Return the payload keys that a decision replaces. Setting null removes a key in Qdrant."""
    keys: dict[str, Any] = {
        "fence": decision.version,
        "epoch": decision.epoch,
        "outcome": str(decision.outcome),
        "task_id": decision.task_id,
        "error": None if decision.error is None else _FAULT.dump_python(decision.error),
        "decided_at": decision.decided_at.isoformat(),
        "starts": None,
        "source": None if decision.source is None else decision.source.model_dump(),
        "fingerprint": decision.fingerprint,
    }
    match decision.published:
        case Published() as published:
            keys["published"] = _PUBLISHED.dump_python(published, mode="json")
        case None:
            keys |= WITHDRAWN
        case Keep.KEEP:
            pass
    if decision.outcome in {Outcome.PUBLISHED, Outcome.UNCHANGED}:
        keys["affirmed"] = decision.version
    return keys


def manifest(payload: Mapping[str, Any]) -> Manifest:
    """Return a stored manifest as a value."""
    return _MANIFEST.validate_python(_ABSENT | dict(payload))
