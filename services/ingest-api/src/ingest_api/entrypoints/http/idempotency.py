"""The header ``Idempotency-Key``: a request that may be sent again and counts once."""

from typing import Annotated, Any, Final

from fastapi import Header, Request

from ingest_api.domain.idempotency import MAX_KEY_LENGTH, idempotency_key_of
from kartoteka_contracts.errors import RequestError

__all__ = ["REPLAYED", "REPLAYED_HEADER", "idempotency_key"]

REPLAYED: Final = "Idempotency-Replayed"

REPLAYED_HEADER: Final[dict[str, Any]] = {
    "headers": {
        REPLAYED: {
            "description": "`true` where an earlier request with this `Idempotency-Key` was "
            "accepted, and this is its answer once more.",
            "schema": {"type": "string"},
        }
    }
}
"""For a route's description of its success."""

_NAME: Final = "Idempotency-Key"


def idempotency_key(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias=_NAME,
            description="Any text of your own, new for every new request, at most "
            f"{MAX_KEY_LENGTH} printable ASCII characters. The same request with the same key, "
            "sent again within 24 hours, is answered with the same task; another request with it "
            "is refused as `idempotency_mismatch`.",
            examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
        ),
    ] = None,
) -> str | None:
    """Return the request's key, if it has one: a dependency.

    Raises:
        RequestError: ``invalid_request``: it cannot be one, or there are two.
    """
    if idempotency_key is None:
        return None
    if len(request.headers.getlist(_NAME)) > 1:
        raise RequestError("invalid_request", f"the request has two {_NAME} headers")
    return idempotency_key_of(idempotency_key)
