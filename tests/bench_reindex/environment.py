"""The peers' own virtual environment: their packages never meet the project's."""

import os
from collections.abc import Mapping
from pathlib import Path

from kartoteka_local.setup.progress import Progress
from kartoteka_local.setup.python_environment import PythonEnvironment
from kartoteka_local.setup.settings import SetupSettings

__all__ = ["peers_python"]


def peers_python(env: Mapping[str, str] = os.environ) -> Path:
    """Install what the peers' lock file says and is not there yet; return their interpreter.

    Raises:
        SetupError: something cannot be had; says what to do.
    """
    settings = SetupSettings.load(env)
    home = settings.home / "bench-reindex"
    python = PythonEnvironment(
        root=settings.root,
        env=settings.environment,
        wheels=settings.wheels,
        progress=Progress(log=settings.home / "logs" / "bench-reindex.log"),
        apart=home / "peers",
    )
    home.mkdir(parents=True, exist_ok=True)
    python.prepare("bench-reindex.txt")
    return python.python
