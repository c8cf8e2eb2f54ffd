"""Prometheus and promtool: what the tests of alerts and dashboards need."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kartoteka_local.setup.progress import Progress, SetupError
from kartoteka_local.setup.system import Need, require

__all__ = ["PROMETHEUS", "ensure_prometheus", "has_prometheus"]

PROMETHEUS: Final = Need(
    what="Prometheus (2.42 or newer, with promtool)",
    apt=("prometheus",),
    dnf="golang-github-prometheus",
    brew="prometheus",
    apk="prometheus",
    pacman="prometheus",
    zypper="golang-github-prometheus-prometheus",
)
_COMMANDS: Final = ("prometheus", "promtool")
_SYSTEMD: Final = Path("/run/systemd/system")
"""There where systemd runs services."""


def has_prometheus() -> bool:
    """Return whether both commands are on PATH."""
    return all(shutil.which(command) is not None for command in _COMMANDS)


def ensure_prometheus(
    progress: Progress, env: Mapping[str, str], *, systemd: Path = _SYSTEMD
) -> None:
    """Install it where it is missing, and leave no service of it: tests start their own.

    Raises:
        SetupError: it cannot be installed without a question, or is still not found.
    """
    if has_prometheus():
        return
    require((PROMETHEUS,), progress, env)
    if systemd.is_dir():
        progress.attempt(["systemctl", "disable", "--now", "prometheus"])
    if not has_prometheus():
        raise SetupError("prometheus and promtool are still not found: put them on PATH.")
