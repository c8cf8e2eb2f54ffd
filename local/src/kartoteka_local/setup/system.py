"""The system's own packages: installed where that needs no question, else named exactly."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kartoteka_local.setup.progress import Progress, SetupError

__all__ = ["Need", "require"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something the system must bring, and what each package manager calls it."""

    what: str
    apt: tuple[str, ...]
    """Names to try in order: releases differ in what they have."""
    dnf: str
    brew: str
    apk: str
    pacman: str
    zypper: str


_COMMANDS: Final = (
    ("apt-get", "apt-get install -y --no-install-recommends", True),
    ("dnf", "dnf install -y", True),
    ("brew", "brew install", False),
    ("apk", "apk add", True),
    ("pacman", "pacman -S --needed", True),
    ("zypper", "zypper install -y", True),
)


def require(needs: tuple[Need, ...], progress: Progress, env: Mapping[str, str]) -> None:
    """Install what is missing, as root on Debian or Ubuntu.

    Raises:
        SetupError: it cannot be installed without a question; names the exact command.
    """
    names = " and ".join(need.what for need in needs)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SetupError(
            f"{names} is missing. Install it, then run the same again:\n\n    {command(needs)}\n"
        )
    quiet = {**env, "DEBIAN_FRONTEND": "noninteractive"}
    advice = "Check the network and the package sources, or install it by hand: " + command(needs)
    with progress.step(f"Installing {names} from the system's packages"):
        progress.run(["apt-get", "update", "-q"], env=quiet, advice=advice)
        packages = [_available(need.apt) for need in needs]
        progress.run(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages],
            env=quiet,
            advice=advice,
        )


def command(needs: tuple[Need, ...]) -> str:
    """Return the command that installs these on this system."""
    for tool, line, as_root in _COMMANDS:
        if shutil.which(tool) is None:
            continue
        packages = " ".join(_name(need, tool) for need in needs)
        return f"{'sudo ' if as_root and os.geteuid() != 0 else ''}{line} {packages}"
    return f"(no known package manager here: install {', '.join(need.what for need in needs)})"


def _name(need: Need, tool: str) -> str:
    match tool:
        case "apt-get":
            return _available(need.apt)
        case "dnf":
            return need.dnf
        case "brew":
            return need.brew
        case "apk":
            return need.apk
        case "pacman":
            return need.pacman
        case _:
            return need.zypper


def _available(names: tuple[str, ...]) -> str:
    for name in names:
        shown = subprocess.run(["apt-cache", "show", name], capture_output=True, check=False)
        if shown.returncode == 0:
            return name
    return names[0]
