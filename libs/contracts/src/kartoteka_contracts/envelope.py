"""What travels beside a Kafka value: its headers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["Envelope", "traced"]

_EVENT_ID: Final = "event_id"
_TRACEPARENT: Final = "traceparent"
_ATTEMPT: Final = "attempt"
_NOT_BEFORE: Final = "not_before"
_FIRST_FAILED_AT: Final = "first_failed_at"
_MOST: Final = 2**63 - 1
"""Larger numbers fit no reader's column, and are no attempt and no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The headers of a Kartoteka event, decoded.

    An event without headers, or with unreadable ones, reads as a first attempt: headers steer
    retries and traces, and must never be a reason to lose a document.
    """

    event_id: str = ""
    """Deterministic, so that a repeated produce is recognised."""

    traceparent: str | None = None
    """W3C trace context."""

    attempt: int = 0
    """0 for the first try, then 1, 2, …"""

    not_before_ms: int | None = None
    """Milliseconds since the epoch before which a retry must not start."""

    first_failed_at_ms: int | None = None
    """Milliseconds since the epoch of the first try's failure; kept by every retry."""

    def to_headers(self) -> list[tuple[str, bytes]]:
        """Return the headers as Kafka carries them."""
        fields = {
            _EVENT_ID: self.event_id or None,
            _TRACEPARENT: self.traceparent,
            _ATTEMPT: str(self.attempt),
            _NOT_BEFORE: _text(self.not_before_ms),
            _FIRST_FAILED_AT: _text(self.first_failed_at_ms),
        }
        return [(name, value.encode()) for name, value in fields.items() if value is not None]

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes | None]] | None) -> Self:
        """Read the headers; unknown ones are ignored, the first of equal names counts."""
        found: dict[str, str] = {}
        for name, value in headers or ():
            if value is not None:
                found.setdefault(name, value.decode("utf-8", "replace"))
        return cls(
            event_id=found.get(_EVENT_ID, ""),
            traceparent=found.get(_TRACEPARENT),
            attempt=_natural(found.get(_ATTEMPT)) or 0,
            not_before_ms=_natural(found.get(_NOT_BEFORE)),
            first_failed_at_ms=_natural(found.get(_FIRST_FAILED_AT)),
        )


def traced(
    headers: Iterable[tuple[str, bytes]], traceparent: str | None
) -> tuple[tuple[str, bytes], ...]:
    """Return a record's headers with its trace context; what they carry already stays."""
    own = tuple(headers)
    if traceparent is None or any(name == _TRACEPARENT for name, _ in own):
        return own
    return (*own, (_TRACEPARENT, traceparent.encode()))


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _natural(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > len(str(_MOST)):
        return None
    number = int(text)
    return number if number <= _MOST else None
