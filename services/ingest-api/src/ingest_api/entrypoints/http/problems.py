"""Errors as RFC 9457 problem documents: one table from code to answer, that of the contracts."""

import math
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from ingest_api.entrypoints.http.wording import is_inner, public_words
from kartoteka_contracts.errors import ERRORS, ErrorSpec, KartotekaError, UnavailableError
from kartoteka_runtime.logs import get_logger

__all__ = [
    "MEDIA_TYPE",
    "Problem",
    "faults_in",
    "install",
    "log_reason",
    "problem_response",
    "request_id_of",
    "responses",
]

_LOG: Final = get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

_COMMON: Final = ("internal", "overloaded")
_BY_STATUS: Final = {
    HTTPStatus.UNAUTHORIZED: "unauthenticated",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
}
_SHOWN_ERRORS: Final = 3
_CAUSE_CHARACTERS: Final = 500
_EXAMPLE_INSTANCE: Final = "urn:kartoteka:request:0198f2c4b7a94d0e8f5c2a1b3d4e5f60"


class Problem(BaseModel):
    """What went wrong, for programs (``code``) and for people (the rest)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """``urn:kartoteka:problem:`` and the code."""
    title: str
    """The code in one line; the same for every occurrence."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened this time, and what to do next."""
    code: str
    """Stable; ``docs/errors.md`` lists them all."""
    instance: str
    """``urn:kartoteka:request:`` and the request id, as in the X-Request-ID header."""
    retriable: bool
    """Whether the same request may succeed later, unchanged."""


def _instance(request_id: str) -> str:
    return f"urn:kartoteka:request:{request_id}"


def _problem(spec: ErrorSpec, message: str, instance: str) -> Problem:
    return Problem(
        type=f"urn:kartoteka:problem:{spec.code}",
        title=spec.title,
        status=_status(spec),
        detail=public_words(spec.code, message),
        code=spec.code,
        instance=instance,
        retriable=spec.retriable,
    )


def _status(spec: ErrorSpec) -> int:
    # A code that only tasks carry can reach a request through a bug alone.
    return spec.http_status or HTTPStatus.INTERNAL_SERVER_ERROR


def problem_response(error: KartotekaError, *, request_id: str) -> JSONResponse:
    """Return the answer to a request that failed with ``error``."""
    problem = _problem(error.spec, error.message, _instance(request_id))
    headers: dict[str, str] = {}
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="kartoteka"'
    return JSONResponse(
        problem.model_dump(), status_code=problem.status, headers=headers, media_type=MEDIA_TYPE
    )


def log_reason(error: KartotekaError) -> None:
    """Log the inner reason of an error whose caller is only told its code and what to do.

    The line carries the request id, as every line of a request does.
    """
    if is_inner(error.code):
        cause = error.__cause__
        _LOG.warning(
            "request_failed_inside",
            code=error.code,
            reason=error.message,
            cause=None if cause is None else f"{type(cause).__name__}: {cause}"[:_CAUSE_CHARACTERS],
        )


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return a route's ``responses``: what it may answer besides success, with an example each.

    ``internal`` and ``overloaded`` are added, as any route may answer them.
    """
    found: dict[int | str, dict[str, Any]] = {}
    for code in dict.fromkeys((*codes, *_COMMON)):
        spec = ERRORS[code]
        answer = found.setdefault(
            _status(spec),
            {
                "model": Problem,
                "description": "",
                "content": {MEDIA_TYPE: {"examples": {}}},
            },
        )
        known = f"`{code}`: {spec.title}."
        answer["description"] = f"{answer['description']} {known}".strip()
        example = _problem(spec, spec.title, _EXAMPLE_INSTANCE).model_dump()
        answer["content"][MEDIA_TYPE]["examples"][code] = {"value": example}
        if spec.retriable:
            answer["headers"] = {
                "Retry-After": {
                    "description": "Seconds after which to try again.",
                    "schema": {"type": "integer"},
                }
            }
    return found


def install(app: FastAPI) -> None:
    """Make the app answer every error as a problem document."""

    async def on_error(request: Request, error: Exception) -> JSONResponse:
        translated = _translated(error)
        log_reason(translated)
        return problem_response(translated, request_id=request_id_of(request))

    for kind in (KartotekaError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, on_error)


def request_id_of(request: Request) -> str:
    """Return the id that the request carries through logs and answers."""
    return str(request.scope.get("request_id", ""))


def _translated(error: Exception) -> KartotekaError:
    match error:
        case KartotekaError():
            return error
        case HTTPException(__cause__=KartotekaError() as cause):
            return cause  # raised while FastAPI read the body
        case RequestValidationError():
            return KartotekaError("invalid_request", faults_in(error))
        case HTTPException(status_code=status) if status in _BY_STATUS:
            return KartotekaError(_BY_STATUS[HTTPStatus(status)])
        case HTTPException(status_code=status) if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return KartotekaError("invalid_request", str(error.detail))
        case _:
            return KartotekaError("internal")


def faults_in(error: RequestValidationError) -> str:
    """Return what is wrong with a request, in words and by field."""
    # Without the input: it may hold document text or a secret.
    return "; ".join([_fault(item) for item in error.errors()][:_SHOWN_ERRORS])[:1000]


def _fault(item: dict[str, Any]) -> str:
    if item["type"] == "json_invalid":
        return f"the body is no JSON: {item['ctx']['error']} at character {item['loc'][-1]}"
    where = ".".join(str(part) for part in item["loc"])
    return f"{where}: {str(item['msg']).removeprefix('Value error, ')}"
