"""The embedders' addresses: whose turn it is, and who is left out for a while."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from kartoteka_runtime.clock import Clock

__all__ = ["Address", "EmbedderPool"]

_RESOLVED_FOR: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One embedder."""

    base_url: str
    """Without a slash at the end."""
    host: str | None = None
    """The name to send where the URL has an IP address in its place."""


class EmbedderPool:
    """Addresses in turn; one that failed rests.

    Args:
        urls: base URLs. A name of plain HTTP that resolves to several addresses counts as all of
            them (a headless Service is such a name); with TLS the name stands for itself.
        rest: seconds for which one that failed is left out.
        clock: for both.
    """

    def __init__(self, urls: Sequence[str], *, rest: float, clock: Clock) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._rest = rest
        self._clock = clock
        self._turn = 0
        self._resting: dict[Address, float] = {}
        self._known: list[Address] = []
        self._known_until = float("-inf")

    async def in_turn(self) -> list[Address]:
        """Return all addresses in the order to try them: the next in turn first, resting last."""
        addresses = await self._addresses()
        if not addresses:
            return []
        self._turn += 1
        first = self._turn % len(addresses)
        order = addresses[first:] + addresses[:first]
        now = self._clock.monotonic()
        return sorted(order, key=lambda address: self._resting.get(address, now) > now)

    def failed(self, address: Address) -> None:
        """Leave an address out for a while."""
        self._resting[address] = self._clock.monotonic() + self._rest

    def answered(self, address: Address) -> None:
        """Take an address in again."""
        self._resting.pop(address, None)

    async def _addresses(self) -> list[Address]:
        now = self._clock.monotonic()
        if now >= self._known_until:
            found = [address for url in self._urls for address in await _resolved(url)]
            self._known = list(dict.fromkeys(found))
            self._known_until = now + _RESOLVED_FOR
            self._resting = {a: until for a, until in self._resting.items() if until > now}
        return self._known


async def _resolved(url: str) -> list[Address]:
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        return [Address(base_url=url)]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            parts.hostname, parts.port or 80, type=socket.SOCK_STREAM
        )
    except OSError:
        return []
    ips = list(dict.fromkeys(str(item[4][0]) for item in found))
    if len(ips) <= 1:
        return [Address(base_url=url)]
    return [Address(base_url=_with_ip(url, ip), host=parts.netloc) for ip in ips]


def _with_ip(url: str, ip: str) -> str:
    parts = urlsplit(url)
    host = f"[{ip}]" if ":" in ip else ip
    return parts._replace(netloc=f"{host}:{parts.port or 80}").geturl()
