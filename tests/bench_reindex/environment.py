"""The peers' own virtual environment: their packages never meet the project's."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kartoteka_local.setup.progress import Progress
from kartoteka_local.setup.python_environment import PythonEnvironment
from kartoteka_local.setup.settings import SetupSettings

__all__ = ["peers_python", "peers_versions"]

_SHOWN = re.compile(
    r"^(?:langchain|llama-index|qdrant-client|sentence-transformers|torch|transformers)"
)


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


def peers_versions(python: Path) -> str:
    """Return the packages that matter there, with their versions."""
    listing = subprocess.run(
        [python.with_name("uv"), "pip", "freeze", "--python", python],
        capture_output=True,
        text=True,
        check=True,
    )
    shown = (line.partition(" @ ")[0] for line in listing.stdout.splitlines())
    return ", ".join(line for line in shown if _SHOWN.match(line))
