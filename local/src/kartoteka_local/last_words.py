"""The end of a log."""

import json
import re
from pathlib import Path
from typing import Final

from kartoteka_local.excerpt import excerpt

__all__ = ["last_words"]

_BYTES: Final = 16_384
_WIDTH: Final = 300
_CONTEXT: Final = ("logger", "service")
_JAVA_FRAME: Final = re.compile(r"\s+at [\w.$]+.*\)$|\s*\.\.\. \d+ more$")
"""Says where, not why: without frames the reasons fit into a few lines."""


def last_words(log: Path, *, since: int = 0, lines: int = 12) -> tuple[str, ...]:
    """Return the last lines of a file that say why, each cut to a width.

    Nothing from before byte ``since`` is among them.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since, size - _BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ()
    said = [
        excerpt(_readable(line.rstrip()), _WIDTH)
        for line in text.splitlines()
        if line.strip() and not _JAVA_FRAME.match(line.rstrip())
    ]
    return tuple(said[-lines:])


def _readable(line: str) -> str:
    """Return a structured log line as a person would write it; any other as it is."""
    if not line.startswith("{"):
        return line
    try:
        fields = json.loads(line)
        said = [str(fields.pop(name)) for name in ("timestamp", "level", "event")]
    except (ValueError, KeyError):
        return line
    exception = str(fields.pop("exception", "")).strip().splitlines()
    said += [f"{name}={value}" for name, value in fields.items() if name not in _CONTEXT]
    return " ".join(said + exception[-1:])
