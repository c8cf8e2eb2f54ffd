"""What to do about a data folder that is damaged: one wording for whoever finds it."""

import shlex
from pathlib import Path

__all__ = ["aside", "indexes_aside"]

_KEPT = "Nothing was deleted."


def aside(data: Path) -> str:
    """Return how to move a damaged folder or file out of the way."""
    return (
        f"{_KEPT} Put back a copy if there is one; else move it aside and run the same again:\n\n"
        f"    mv {shlex.quote(str(data))} {shlex.quote(f'{data}.damaged')}"
    )


def indexes_aside(data: Path) -> str:
    """Return how to move Kafka's index files out of the way; it builds them anew."""
    return (
        f"{_KEPT} Kafka builds its index files anew from the records beside them: move them "
        "aside and run the same again; no document is lost by it:\n\n"
        f"    find {shlex.quote(str(data))} -name '*.index' -exec mv {{}} {{}}.damaged ';' "
        "-o -name '*.timeindex' -exec mv {} {}.damaged ';'"
    )
