"""What a child is: its command, its environment, how it is told ready, how it is stopped."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = ["Probe", "Program"]

Probe: TypeAlias = Callable[[], Awaitable[str | None]]
"""Asks a running child whether it is ready: None, or the reason why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One child of the stack."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """Its whole environment."""
    log: Path
    probe: Probe
    liveness: Probe | None = None
    """Asked once it is ready: a reason, several times in a row, and it is ended and restarted."""
    grace: float
    """Seconds between SIGTERM and SIGKILL."""
    advice: str
    """What to do when it keeps dying for no reason that is recognised."""
    data: Path | None = None
    """The folder whose damage may be why it dies."""
    port_setting: str | None = None
    """The setting that moves its port."""
