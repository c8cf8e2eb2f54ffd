"""Whether the disk has room."""

import shutil
from pathlib import Path

from kartoteka_local.errors import StackError

__all__ = ["free_bytes", "require_space", "shortage"]

_MIB = 1024 * 1024


def free_bytes(folder: Path) -> int:
    """Return the bytes that may still be written where a folder lies."""
    return shutil.disk_usage(folder).free


def shortage(folder: Path, needed: int) -> str | None:
    """Return what to say when fewer bytes are free than needed, else None."""
    free = free_bytes(folder)
    if free >= needed:
        return None
    return (
        f"The disk of {folder} is almost full: {free // _MIB} MiB are free, and "
        f"{needed // _MIB} MiB are wanted. Free some space, or set KARTOTEKA_HOME to a folder "
        "on another disk (KARTOTEKA_MIN_FREE_MIB is the limit)."
    )


def require_space(folder: Path, needed: int) -> None:
    """Refuse to start on a disk that would soon be full.

    Raises:
        StackError: too little is free.
    """
    problem = shortage(folder, needed)
    if problem:
        raise StackError(f"{problem} Nothing was started, nothing is lost.")
