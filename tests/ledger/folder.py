"""The folder that a cabinet is fed from. Each change is one step, so no listing sees half of it."""

import os
from pathlib import Path

__all__ = ["SourceFolder"]


class SourceFolder:
    """A folder that may be taken away for a while, as what is mounted may be.

    Args:
        top: what sources may lie in; made if it is not there.
    """

    def __init__(self, top: Path) -> None:
        self.allowed = top
        self.path = top / "documents"
        self.is_there = True
        self.times_away = 0
        self.times_empty = 0
        """Of those, how often an empty folder was in its place."""
        self._away = top.with_name(f"{top.name}-away")
        self._staged = top.with_name(f"{top.name}-staged")
        self.path.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """As a cabinet's settings name it."""
        return f"file://{self.path}"

    def write(self, path: str, body: bytes) -> None:
        """Make a file, or replace one, whole."""
        self._staged.write_bytes(body)
        place = self.path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        self._staged.replace(place)

    def touch(self, path: str) -> None:
        """Give a file another time."""
        os.utime(self.path / path)

    def remove(self, path: str) -> None:
        """Remove a file; the folders that it was in stay."""
        (self.path / path).unlink()

    def unmount(self, *, leaves_empty: bool) -> None:
        """Take everything away, and leave nothing or an empty folder."""
        self.is_there = False
        self.times_away += 1
        self.times_empty += leaves_empty
        self.path.rename(self._away)
        if leaves_empty:
            self.path.mkdir()

    def mount(self) -> None:
        """Undo that."""
        if self.path.exists():
            self.path.rmdir()
        self._away.rename(self.path)
        self.is_there = True
