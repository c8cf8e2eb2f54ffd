"""Qdrant's failures, as ours. Nothing of the vendor's passes this module."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import httpx
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from kartoteka_contracts.errors import KartotekaError, UnavailableError
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.tracing import SpanKind, child

__all__ = ["attempt"]

T = TypeVar("T")

_RETRIES: Final = 2
_BACKOFF: Final = Backoff(base=0.1, factor=3.0, limit=1.0)
_SERVER_ERROR: Final = 500
_SHOWN: Final = 300
# 401 and 403 are a wrong key, 404 a collection that is not there (yet): an operator repairs them,
# so work waits instead of failing.
_REPAIRABLE: Final = frozenset({401, 403, 404, 408, 425, 429})

_VENDOR: Final = (UnexpectedResponse, ResponseHandlingException, ResourceExhaustedResponse)


async def attempt(operation: str, request: Callable[[], Awaitable[T]]) -> T:
    """Make one idempotent request, twice more where Qdrant did not take it.

    A request that timed out is not repeated here: it may still be under way, and whoever waits has
    waited long enough. It is a span of whatever is traced here.

    Raises:
        UnavailableError: ``index_unavailable``.
        KartotekaError: ``internal``, where Qdrant refused the request as wrong.
    """
    tries = 0
    with child(f"qdrant {operation}", kind=SpanKind.CLIENT) as span:
        span.set({"db.system.name": "qdrant"})
        while True:
            try:
                return await request()
            except _VENDOR as error:
                if tries == _RETRIES or not _passes(error):
                    raise _ours(operation, error) from error
            await asyncio.sleep(_BACKOFF.delay(tries))
            tries += 1
            span.note(tried_again=tries)


def _passes(error: Exception) -> bool:
    """Whether the same request is likely to succeed within a second."""
    match error:
        case UnexpectedResponse(status_code=int(status)):
            return status >= _SERVER_ERROR
        case ResponseHandlingException(source=source):
            return not isinstance(source, httpx.TimeoutException)
        case _:
            return False


def _ours(operation: str, error: Exception) -> KartotekaError:
    match error:
        case ResourceExhaustedResponse(retry_after_s=seconds):
            message = f"{operation}: Qdrant limits the rate of requests"
            return UnavailableError("index_unavailable", message, retry_after=float(seconds))
        case UnexpectedResponse(status_code=int(status), content=content):
            said = content[:_SHOWN].decode("utf-8", "replace")
            message = f"{operation}: Qdrant answered {status}: {said}"
            if status >= _SERVER_ERROR or status in _REPAIRABLE:
                return UnavailableError("index_unavailable", message)
            return KartotekaError("internal", message)
        case ResponseHandlingException(source=source):
            message = f"{operation}: no answer from Qdrant: {type(source).__name__}"
            return UnavailableError("index_unavailable", message)
        case _:
            return UnavailableError("index_unavailable", f"{operation}: {type(error).__name__}")
