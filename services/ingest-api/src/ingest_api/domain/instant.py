"""Moments as whole microseconds since 1970: how they are stored and sorted."""

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["microseconds", "moment"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(at: datetime) -> int:
    """Return a time as microseconds since 1970, exactly."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """Return the time that :func:`microseconds` was given, in UTC."""
    return _EPOCH + timedelta(microseconds=us)
