"""Ages in queries: how long ago, or a moment."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from kartoteka_contracts.errors import RequestError

__all__ = ["ABOUT_AGES", "moment_of"]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGE: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
ABOUT_AGES: Final = "Either `90s`, `30m`, `12h`, `7d`, or a time such as `2026-01-02T03:04:05Z`."


def moment_of(age: str, now: datetime) -> datetime:
    """Return the moment that an age or a time names; one without an offset is UTC.

    Raises:
        RequestError: ``invalid_request``.
    """
    found = _AGE.fullmatch(age)
    try:
        if found is not None:
            return max(_EARLIEST, now - timedelta(seconds=int(found[1]) * _UNITS[found[2]]))
        at = datetime.fromisoformat(age)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        return _EARLIEST
    except ValueError as error:
        raise RequestError("invalid_request", f"the age is none. {ABOUT_AGES}") from error
    return max(_EARLIEST, at)
