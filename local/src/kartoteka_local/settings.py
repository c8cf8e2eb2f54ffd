"""All settings of the stack. The environment is read here and nowhere else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import Field

from kartoteka_runtime.env import Fragment, SettingsError, read

__all__ = ["RealServers", "Settings", "StackSettings"]

_ROOT: Final = Path(__file__).resolve().parents[3]
_MIB: Final = 1024 * 1024


class StackSettings(Fragment):
    """Where the stack lives, and its ports."""

    prefix: ClassVar[str] = "KARTOTEKA_"

    home: Path = _ROOT / ".kartoteka"
    """The folder of all data, logs and the model. Two stacks need two."""
    api_host: str = "127.0.0.1"
    """Address that the API listens on; everything else always listens on loopback only."""
    api_port: int = Field(default=8080, ge=0, le=65535)
    """Port of the API; 0 takes a free one."""
    kafka_port: int = Field(default=0, ge=0, le=65535)
    """Port of the embedded broker; 0 takes a free one, and the same again next time if it can."""
    qdrant_port: int = Field(default=0, ge=0, le=65535)
    """Port of the embedded Qdrant; 0 takes a free one."""
    embedder_port: int = Field(default=0, ge=0, le=65535)
    """Port of the first embedder, the next ones count up from it; 0 takes free ones."""
    kafka_lib: Path | None = None
    """Folder of Kafka's jars; kafka/lib in KARTOTEKA_HOME when unset."""
    samples: bool = True
    """Whether the sample documents are indexed and searched at the start."""
    samples_cabinet: int = Field(default=1, ge=1)
    """The cabinet that the samples go to."""
    min_free_mib: int = Field(default=512, ge=1)
    """MiB that must be free on the disk: below it the stack does not start, and warns later."""
    start_timeout: float = Field(default=300.0, gt=0)
    """Seconds after which a start that is not ready is given up, with the reasons."""

    @property
    def min_free_bytes(self) -> int:
        """The same in bytes."""
        return self.min_free_mib * _MIB


class RealServers(Fragment):
    """Servers that take the place of embedded ones, and what else has no prefix of ours."""

    prefix: ClassVar[str] = ""

    kafka_bootstrap_servers: str | None = None
    """A real Kafka, host:port; unset: an embedded broker is started."""
    qdrant_url: str | None = None
    """A real Qdrant; unset: an embedded one is started."""
    object_store_url: str | None = None
    """A real object store, s3://bucket/prefix; unset: a folder in KARTOTEKA_HOME."""
    embedders: int | None = Field(default=None, ge=1, le=64)
    """Embedder processes; one per core when unset."""
    java_home: Path | None = None
    """Where a JDK is looked for first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the stack reads from the environment."""

    stack: StackSettings
    real: RealServers
    inherited: Mapping[str, str]
    """The whole environment, handed to every service: TLS, SASL, keys and limits are its own."""

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read all settings; ``None`` reads the process's environment.

        Raises:
            SettingsError: naming every wrong variable and what it must be.
        """
        source = dict(os.environ if env is None else env)
        problems: list[str] = []
        fragments: list[Fragment] = []
        for kind in cls.fragments():
            try:
                fragments.append(read(kind, source))
            except SettingsError as error:
                problems.extend(error.problems)
        if problems:
            raise SettingsError(tuple(problems))
        stack, real = fragments
        if not isinstance(stack, StackSettings) or not isinstance(real, RealServers):
            raise TypeError("the fragments were read in another order")
        return cls(stack=stack, real=real, inherited=source)

    @classmethod
    def fragments(cls) -> tuple[type[Fragment], ...]:
        """Return the fragments, for help and docs."""
        return (StackSettings, RealServers)

    @property
    def embedders(self) -> int:
        """How many embedders to run."""
        return self.real.embedders or _cores()


def _cores() -> int:
    """Return the cores that this process may use, which in a container are not all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
