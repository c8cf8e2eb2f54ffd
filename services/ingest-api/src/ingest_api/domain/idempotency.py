"""Requests that may be sent twice and count once: what an Idempotency-Key stands for."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.records import DocumentRecord

__all__ = ["MAX_KEY_LENGTH", "Claim", "idempotency_key_of", "request_digest"]

MAX_KEY_LENGTH: Final = 255
"""Characters of an Idempotency-Key."""

_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the first request with a key is to become, and every later one with it."""

    digest: str
    """Of the request, as :func:`request_digest` makes it."""
    record: DocumentRecord
    """Counts once it stands in object storage under its version."""
    traceparent: str | None = None
    """The trace of the request that claimed it: repetitions send their event as a part of it."""


def idempotency_key_of(text: str) -> str:
    """Read an Idempotency-Key.

    Raises:
        RequestError: ``invalid_request``.
    """
    if len(text) > MAX_KEY_LENGTH or _PRINTABLE.fullmatch(text) is None:
        raise RequestError(
            "invalid_request",
            f"an Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable ASCII characters",
        )
    return text


def request_digest(
    *, sha256: str, external_id: str, filename: str, metadata: dict[str, Any]
) -> str:
    """Return what makes two requests the same one: content, names and metadata."""
    told = json.dumps([sha256, external_id, filename, metadata], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
