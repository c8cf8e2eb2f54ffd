"""An image in buildah's store, and commands run in it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

__all__ = ["Built", "Container"]

_PREFIX: Final = os.environ.get("IMAGE_PREFIX", "kartoteka")
_TAG: Final = os.environ.get("TAG", "0.1.0")


def _buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container that runs nothing until it is told to, and its files."""

    id: str
    root: Path

    def run(self, *command: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as the image's user, without a network."""
        options = [] if user is None else ["--user", user]
        return subprocess.run(
            ["buildah", "run", "--isolation", "chroot", *options, self.id, "--", *command],
            capture_output=True,
            text=True,
            check=False,
        )

    def files(self) -> dict[str, tuple[int, int]]:
        """Return size and time of change of every file below /app and /models."""
        return {
            str(path.relative_to(self.root)): (path.lstat().st_size, path.lstat().st_mtime_ns)
            for folder in ("app", "models")
            for path in (self.root / folder).rglob("*")
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One image."""

    name: str
    config: dict[str, Any]
    size: int
    """Bytes of all layers, uncompressed."""

    @classmethod
    def of(cls, image: str) -> Self:
        """Return an image of ours by its short name.

        Raises:
            AssertionError: it is not built; ``make images`` does that.
        """
        name = f"{_PREFIX}/{image}:{_TAG}"
        (found,) = json.loads(_buildah("images", "--json", name))
        inspected = json.loads(_buildah("inspect", "--type", "image", name))
        return cls(name=name, config=inspected["OCIv1"]["config"], size=_bytes(found["size"]))

    @contextmanager
    def container(self) -> Iterator[Container]:
        """Make a container of it, and remove it."""
        made = _buildah("from", "--pull-never", self.name).strip()
        try:
            yield Container(id=made, root=Path(_buildah("mount", made).strip()))
        finally:
            _buildah("rm", made)


def _bytes(text: str) -> int:
    number, unit = text.split()
    return round(float(number) * {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit])
