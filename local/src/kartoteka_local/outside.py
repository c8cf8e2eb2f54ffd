"""Servers of others that a stack was told to use: whether they can be reached at all."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from kartoteka_local.program import Probe
from kartoteka_local.settings import RealServers

__all__ = ["Outside", "outside_servers"]

_TIMEOUT_SECONDS: Final = 3.0
_PORTS: Final = {"http": 80, "https": 443}
_KAFKA_PORT: Final = 9092


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """One server."""

    setting: str
    """The variable that names it."""
    host: str
    port: int

    @property
    def probe(self) -> Probe:
        """Asks whether it takes a connection; no more, since all else is the services' to say."""

        async def ask() -> str | None:
            try:
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    _, writer = await asyncio.open_connection(self.host, self.port)
            except TimeoutError:
                return f"{self.setting}: {self.host}:{self.port} does not answer"
            except OSError as error:
                return f"{self.setting}: no connection to {self.host}:{self.port} ({_why(error)})"
            writer.close()
            return None

        return ask


def outside_servers(real: RealServers, env: Mapping[str, str]) -> tuple[Outside, ...]:
    """Return the servers that take the place of embedded ones, as far as they have addresses.

    Args:
        real: which are used.
        env: the whole environment, for the address of an object store.
    """
    found: list[Outside] = []
    for address in (real.kafka_bootstrap_servers or "").split(","):
        found += _server("KAFKA_BOOTSTRAP_SERVERS", f"//{address.strip()}", _KAFKA_PORT)
    found += _server("QDRANT_URL", real.qdrant_url or "", None)
    if (real.object_store_url or "").startswith("s3:"):
        found += _server("OBJECT_STORE_ENDPOINT", env.get("OBJECT_STORE_ENDPOINT", ""), None)
    return tuple(found)


def _why(error: OSError) -> str:
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)  # asyncio's own words repeat the address
    return error.strerror or "none of its addresses answers"


def _server(setting: str, url: str, port: int | None) -> Iterable[Outside]:
    parts = urlsplit(url)
    try:
        port = parts.port or port or _PORTS.get(parts.scheme)
    except ValueError:  # no number: the services say so, by the name of the setting
        return ()
    if not parts.hostname or port is None:
        return ()
    return (Outside(setting=setting, host=parts.hostname, port=port),)
