"""Marks that say which inputs a finished step had, so that a warm start repeats nothing."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Stamp", "digest"]


def digest(*parts: str | Path) -> str:
    """Return one hash over texts and the bytes of files, in order."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode()
        total.update(hashlib.sha256(data).digest())
    return total.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """One step's mark. It lies inside what the step made, so both vanish together."""

    path: Path
    inputs: str

    def fresh(self, needs: Iterable[Path] = ()) -> bool:
        """Whether the step was finished with these inputs, and what it made is there."""
        try:
            same = self.path.read_text(encoding="utf-8").strip() == self.inputs
        except OSError:
            return False
        return same and all(path.exists() for path in needs)

    def set(self) -> None:
        """Mark the step as finished."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f"{self.path.name}.part")
        part.write_text(f"{self.inputs}\n", encoding="utf-8")
        part.replace(self.path)
