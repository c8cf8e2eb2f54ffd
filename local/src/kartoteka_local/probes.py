"""How children are asked whether they are ready."""

import asyncio
import contextlib
import json
from typing import Final
from urllib.parse import urlsplit

from kartoteka_local.excerpt import excerpt
from kartoteka_local.program import Probe

__all__ = ["accepts_connections", "answers_ready", "is_started"]

_TIMEOUT_SECONDS: Final = 5.0
_REASON_WIDTH: Final = 240
_READY: Final = 200


def accepts_connections(host: str, port: int) -> Probe:
    """Return a probe: ready when the port takes a connection."""

    async def probe() -> str | None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            return f"no connection to {host}:{port} yet"
        await _close(writer)
        return None

    return probe


def answers_ready(url: str) -> Probe:
    """Return a probe: ready when the address answers 200; else its own words are the reason."""

    async def probe() -> str | None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                status, body = await _get(url)
        except (OSError, TimeoutError, ValueError, IndexError):
            return f"no answer from {url} yet"
        if status == _READY:
            return None
        return _reasons(body) or f"{url} answers {status}"

    return probe


def is_started() -> Probe:
    """Return a probe for what nobody waits for: ready as soon as it runs."""

    async def probe() -> str | None:
        return None

    return probe


async def _get(url: str) -> tuple[int, bytes]:
    """GET over a fresh connection.

    Asked many times a second while a stack starts on busy cores, so it is no full client: to make
    one costs more than the answer itself.

    Raises:
        OSError: nobody is there.
        ValueError, IndexError: the answer is no HTTP.
    """
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(f"GET {where.path} HTTP/1.0\r\nHost: {where.netloc}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        await _close(writer)
    return int(head.split(b" ", 2)[1]), body


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _reasons(body: bytes) -> str:
    """Return what a service of ours says of itself; nothing where it is put another way."""
    try:
        reasons = json.loads(body)["reasons"]
        said = [
            f"{name}: {excerpt(str(reason), _REASON_WIDTH)}" for name, reason in reasons.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return "; ".join(said)
