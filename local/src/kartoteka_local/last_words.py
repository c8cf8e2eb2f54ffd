"""The end of a log."""

from pathlib import Path
from typing import Final

__all__ = ["last_words"]

_BYTES: Final = 16_384
_WIDTH: Final = 300


def last_words(log: Path, *, since: int = 0, lines: int = 12) -> tuple[str, ...]:
    """Return the last lines of a file, each cut to a width, none from before byte ``since``."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since, size - _BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ()
    said = [line.rstrip()[:_WIDTH] for line in text.splitlines() if line.strip()]
    return tuple(said[-lines:])
