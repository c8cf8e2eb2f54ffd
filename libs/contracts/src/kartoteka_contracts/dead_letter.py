"""A dead letter: the raw value of work that failed for good, and why, in its headers."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, Self

__all__ = ["DeadLetter", "DeadLetterMark", "Resolution"]

_PREFIX: Final = "x-"
_MAX_MESSAGE_BYTES: Final = 1024
_MOST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Why a record was given up, and where it came from."""

    reason: str
    """An error code."""
    message: str
    stage: str
    """The stage that failed; ``decoding`` where the record could not be read."""
    attempts: int
    """Tries made, the first included."""
    first_failed_at_ms: int
    origin_topic: str
    origin_partition: int
    origin_offset: int
    task_id: str = ""
    """Empty where the record could not be read."""

    def to_headers(self) -> list[tuple[str, bytes]]:
        """Return the headers; the message is cut to 1 KiB."""
        values = {
            "reason": self.reason,
            "message": self.message,
            "stage": self.stage,
            "attempts": str(self.attempts),
            "first-failed-at": str(self.first_failed_at_ms),
            "original-topic": self.origin_topic,
            "original-partition": str(self.origin_partition),
            "original-offset": str(self.origin_offset),
            "task-id": self.task_id,
        }
        return [
            (_PREFIX + name, value.encode()[:_MAX_MESSAGE_BYTES]) for name, value in values.items()
        ]

    @classmethod
    def from_headers(cls, headers: list[tuple[str, bytes]]) -> Self:
        """Read the headers that :meth:`to_headers` wrote.

        Raises:
            KeyError: a header is missing.
            ValueError: a number is none, or does not fit 64 bits.
        """
        found = {name: value.decode("utf-8", "replace") for name, value in headers}
        return cls(
            reason=found["x-reason"],
            message=found["x-message"],
            stage=found["x-stage"],
            attempts=_number(found["x-attempts"]),
            first_failed_at_ms=_number(found["x-first-failed-at"]),
            origin_topic=found["x-original-topic"],
            origin_partition=_number(found["x-original-partition"]),
            origin_offset=_number(found["x-original-offset"]),
            task_id=found["x-task-id"],
        )


@unique
class Resolution(StrEnum):
    """What became of a dead letter."""

    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterMark:
    """A record without value on the dead letters' topic: one letter there is dealt with.

    It has the letter's key, so it lies behind it in the same partition.
    """

    partition: int
    """The letter's own place on the topic."""
    offset: int
    resolution: Resolution
    task_id: str = ""
    """The task of the replay."""

    def to_headers(self) -> list[tuple[str, bytes]]:
        """Return the headers."""
        values = {
            "marks-partition": str(self.partition),
            "marks-offset": str(self.offset),
            "resolution": str(self.resolution),
            "task-id": self.task_id,
        }
        return [(_PREFIX + name, value.encode()) for name, value in values.items()]

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes]]) -> Self | None:
        """Read the headers; None where the record is a letter and no mark.

        Raises:
            KeyError: a header is missing.
            ValueError: a number or the resolution is none.
        """
        found = {name: value.decode("utf-8", "replace") for name, value in headers}
        if "x-marks-offset" not in found:
            return None
        return cls(
            partition=_number(found["x-marks-partition"]),
            offset=_number(found["x-marks-offset"]),
            resolution=Resolution(found["x-resolution"]),
            task_id=found["x-task-id"],
        )


def _number(text: str) -> int:
    number = int(text)
    if abs(number) > _MOST:
        raise ValueError("the number does not fit 64 bits")
    return number
