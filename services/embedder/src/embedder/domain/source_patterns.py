"""Which paths of a source are taken: ``*``, ``?`` and ``**``, in bounded time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

__all__ = ["SourcePatterns"]

_ANY_FOLDERS: Final = "**"

_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePatterns:
    """Patterns of whole paths, case-sensitive, over the segments between slashes.

    ``*`` is any run of characters within a segment and ``?`` is one of them; a segment ``**`` is
    any number of segments, at a pattern's end at least one. A pattern that ends with a slash takes
    all that is in the folder; a slash at its beginning means nothing.
    """

    include: tuple[tuple[str, ...], ...]
    exclude: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, include: Sequence[str], exclude: Sequence[str]) -> Self:
        """Return the patterns as a source's settings write them; any text is a pattern."""
        return cls(
            include=tuple(_segments(pattern) for pattern in include),
            exclude=tuple(_segments(pattern) for pattern in exclude),
        )

    def takes(self, path: str) -> bool:
        """Return whether some pattern includes a path and none excludes it."""
        segments = path.split("/")
        return any(_fits(pattern, segments) for pattern in self.include) and not any(
            _fits(pattern, segments) for pattern in self.exclude
        )


def _segments(pattern: str) -> tuple[str, ...]:
    pieces = pattern.lstrip("/").split("/")
    if pieces[-1] == "" and len(pieces) > 1:
        pieces[-1] = _ANY_FOLDERS
    # What is in a folder is not the folder: a last ``**`` stands for at least one segment.
    return (*pieces, "*") if pieces[-1] == _ANY_FOLDERS else tuple(pieces)


def _fits(pattern: Sequence[str], segments: Sequence[str]) -> bool:
    return _matches(pattern, segments, _ANY_FOLDERS, _segment_fits)


def _segment_fits(pattern: str, segment: str) -> bool:
    return pattern == "*" or _matches(pattern, segment, "*", _character_fits)


def _character_fits(pattern: str, character: str) -> bool:
    return pattern in {"?", character}


def _matches(
    pattern: Sequence[_A], text: Sequence[_B], run: _A, fits: Callable[[_A, _B], bool]
) -> bool:
    """Match with runs of anything, in time of at most the product of both lengths.

    Only the last run has ever to be made longer: what an earlier one could take instead, it takes.
    """
    at = position = 0
    run_at, run_ends = -1, 0
    while position < len(text):
        if at < len(pattern) and pattern[at] == run:
            run_at, run_ends = at, position
            at += 1
        elif at < len(pattern) and fits(pattern[at], text[position]):
            at += 1
            position += 1
        elif run_at >= 0:
            run_ends += 1
            at, position = run_at + 1, run_ends
        else:
            return False
    return all(rest == run for rest in pattern[at:])
