"""The project's own Python files, for rules that hold for all of them."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PARTS = ("libs", "services", "local", "tests", "dashboards", "docs")


def modules() -> Iterator[Path]:
    """Yield every module of the project, tests and scripts included."""
    for part in _PARTS:
        for path in sorted((ROOT / part).rglob("*.py")):
            if not any(piece.startswith(".") or piece == "__pycache__" for piece in path.parts):
                yield path


def sources() -> Iterator[Path]:
    """Yield the modules that ship: what lies under a ``src`` folder."""
    return (path for path in modules() if "src" in path.relative_to(ROOT).parts)


def shown(path: Path) -> str:
    """Return a path as people write it."""
    return path.relative_to(ROOT).as_posix()
