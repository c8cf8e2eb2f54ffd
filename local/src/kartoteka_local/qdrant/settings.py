import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, SecretStr

from kartoteka_runtime.env import Fragment, read

__all__ = ["EmbeddedQdrantSettings"]


class EmbeddedQdrantSettings(Fragment):
    """How the embedded Qdrant is started. Command-line options win."""

    prefix: ClassVar[str] = "EMBEDDED_QDRANT_"

    data: Path = Path(".kartoteka/qdrant")
    """The folder of all collections; one process at a time may have it."""
    host: str = "127.0.0.1"
    """The address to listen on. There is no TLS, so it stays a loopback address."""
    port: int = Field(default=6333, ge=0, le=65535)
    """The port to listen on; 0 takes a free one, which the ready line names."""
    api_key: SecretStr | None = None
    """What callers must send in the ``api-key`` header; unset lets every local process in."""
    flush_seconds: float = Field(default=5.0, gt=0)
    """Seconds between flushes; more means a longer start after a kill."""

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read the environment.

        Raises:
            SettingsError: naming every wrong variable.
        """
        return read(cls, os.environ if env is None else env)
