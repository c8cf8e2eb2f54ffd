"""A copy of our packages: what a run starts is one release from its first process to its last.

A run takes minutes and starts processes all the time, while somebody may work in the checkout.
"""

import shutil
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "copy_packages"]

ROOT: Final = Path(__file__).resolve().parents[2]

_PARTS: Final = ("libs/*/src/*", "services/*/src/*", "local/src/*")


def copy_packages(folder: Path) -> dict[str, str]:
    """Copy all packages into a folder; returns the settings that make processes use them."""
    folder.mkdir(parents=True)
    for pattern in _PARTS:
        for package in ROOT.glob(pattern):
            if (package / "__init__.py").is_file():
                shutil.copytree(
                    package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__")
                )
    return {"PYTHONPATH": str(folder)}
