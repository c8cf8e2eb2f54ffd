"""The environment of a set-up."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["SetupSettings"]

_ROOT = Path(__file__).resolve().parents[4]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupSettings:
    """What a set-up is told from outside."""

    root: Path
    """The clone."""
    home: Path
    """KARTOTEKA_HOME: where all data lives; .kartoteka in the clone when unset."""
    wheels: Path | None
    """KARTOTEKA_WHEELS: a folder with a wheel of torch, taken in place of a download."""
    has_own_kafka: bool
    """KAFKA_BOOTSTRAP_SERVERS is set: no embedded broker, so neither Java nor Maven is needed."""
    java_home: Path | None
    """JAVA_HOME, where a JDK is looked for first."""
    environment: Mapping[str, str]
    """All of it, for the tools that are called."""

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read the process's environment, or the one given."""
        env = dict(os.environ) if env is None else env
        home = env.get("KARTOTEKA_HOME") or str(_ROOT / ".kartoteka")
        wheels, java_home = env.get("KARTOTEKA_WHEELS"), env.get("JAVA_HOME")
        return cls(
            root=_ROOT,
            home=Path(home).expanduser().resolve(),
            wheels=Path(wheels).expanduser().resolve() if wheels else None,
            has_own_kafka=bool(env.get("KAFKA_BOOTSTRAP_SERVERS")),
            java_home=Path(java_home) if java_home else None,
            environment=env,
        )
