"""What a caller is told of an error: no address, no key of object storage, no bug's words."""

from http import HTTPStatus
from typing import Final

from kartoteka_contracts.errors import ERRORS

__all__ = ["is_inner", "public_words"]

_INNER_VERDICTS: Final = frozenset({"body_missing", "unexpected", "embedding_failed"})
"""Verdicts on documents whose reason lies in the service, not in the document."""


def is_inner(code: str) -> bool:
    """Whether an error's own words are for operators: they are logged, and the code is told."""
    spec = ERRORS.get(code)
    if spec is None:
        return True
    status = spec.http_status
    return code in _INNER_VERDICTS or (
        status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def public_words(code: str, message: str) -> str:
    """Return what to say of an error with this code and these inner words."""
    if code == "retries_exhausted":
        last, _, words = message.partition(": ")
        if last in ERRORS:
            return f"{last}: {public_words(last, words)}"
    spec = ERRORS.get(code)
    if spec is None:
        return "See the task id in the operator's logs."
    if is_inner(code) or message == spec.title:
        return f"{spec.title}. {spec.advice}"
    return message
