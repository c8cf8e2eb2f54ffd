"""What a caller may submit: names, metadata, and the limits on both."""

import json
import math
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import MAX_EXACT_INTEGER, CabinetId, Version, normalised_external_id

__all__ = [
    "MAX_METADATA_BYTES",
    "MAX_NAME_LENGTH",
    "UploadLimits",
    "cabinet_id_of",
    "external_id_of",
    "filename_of",
    "metadata_of",
    "next_version",
]

MAX_NAME_LENGTH: Final = 255
"""Characters of a file name or external id, after normalisation."""

MAX_METADATA_BYTES: Final = 64 * 1024

_MAX_DEPTH: Final = 16
_MAX_INTEGER: Final = 2**63 - 1
_MAX_DIGITS: Final = len(str(MAX_EXACT_INTEGER))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_DIRECTION_MARKS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make ``exe.fdp`` read as ``pdf.exe`` turned round."""

_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def cabinet_id_of(text: str) -> CabinetId:
    """Read a cabinet id.

    Raises:
        RequestError: ``invalid_request`` where it is no positive integer below 2^53.
    """
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        number = int(text)
        if 0 < number <= MAX_EXACT_INTEGER:
            return CabinetId(number)
    raise RequestError("invalid_request", "cabinet_id must be a positive integer below 2^53")


def filename_of(name: str) -> str:
    """Return the file name of an upload: its last path part, in Unicode NFC.

    Raises:
        RequestError: ``invalid_name``.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    return _checked(last, "file name")


def external_id_of(name: str) -> str:
    """Return the caller's name of a document, in Unicode NFC; slashes are part of it.

    Raises:
        RequestError: ``invalid_name``.
    """
    return _checked(name, "external_id")


def _checked(name: str, what: str) -> str:
    name = normalised_external_id(name).strip()
    if name in {"", ".", ".."}:
        raise RequestError("invalid_name", f"the {what} is empty")
    if len(name) > MAX_NAME_LENGTH:
        raise RequestError(
            "invalid_name", f"the {what} has more than {MAX_NAME_LENGTH} characters; shorten it"
        )
    for character in name:
        if (
            character in _DIRECTION_MARKS
            or unicodedata.category(character) in _FORBIDDEN_CATEGORIES
        ):
            raise RequestError(
                "invalid_name",
                f"the {what} has the character U+{ord(character):04X}; rename the file",
            )
    return name


def metadata_of(text: bytes) -> dict[str, Any]:
    """Read the metadata field: a JSON object that every part of the system can carry.

    Raises:
        RequestError: ``invalid_metadata``, saying what is wrong with it.
    """
    if len(text) > MAX_METADATA_BYTES:
        raise _invalid(f"it has more than {MAX_METADATA_BYTES} bytes")
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise _invalid("it is not JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise _invalid("it is not a JSON object")
    _check(value, depth=1)
    # Each item of a list is stored beside its key, with every piece of the document: a long key
    # over a long list would grow to gigabytes.
    for key, item in value.items():
        if isinstance(item, list) and len(key.encode()) * len(item) > MAX_METADATA_BYTES:
            raise _invalid(f"the list of {len(item)} items is too long for its key; shorten either")
    return value


def _invalid(why: str) -> RequestError:
    return RequestError("invalid_metadata", f"metadata: {why}")


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _invalid("an object has the same key twice")
    return found


def _check(value: Any, *, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise _invalid(f"it is nested more than {_MAX_DEPTH} levels deep")
    match value:
        case dict():
            for key, item in value.items():
                _check(key, depth=depth)
                _check(item, depth=depth + 1)
        case list():
            for item in value:
                _check(item, depth=depth + 1)
        case str() if any("\ud800" <= character <= "\udfff" for character in value):
            raise _invalid("a string has half of a surrogate pair")
        case int() if abs(value) > _MAX_INTEGER:
            raise _invalid("an integer does not fit 64 bits")
        case float() if not math.isfinite(value):
            raise _invalid("a number is too large")
        case _:
            pass


def next_version(now: datetime, newest: Version | None) -> Version:
    """Return the version to give: the time in microseconds, raised above the newest there is."""
    microseconds = (now - _EPOCH) // timedelta(microseconds=1)
    return Version(max(microseconds, 0 if newest is None else newest + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """How much one request may bring."""

    file_bytes: int
    request_bytes: int
    files: int
