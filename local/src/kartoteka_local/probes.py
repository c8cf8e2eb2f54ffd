"""How children are asked whether they are ready."""

import asyncio

import httpx

from kartoteka_local.program import Probe

__all__ = ["accepts_connections", "answers_ready"]

_TIMEOUT_SECONDS = 5.0
_REASON_WIDTH = 300


def accepts_connections(host: str, port: int) -> Probe:
    """Return a probe: ready when the port takes a connection."""

    async def probe() -> str | None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            return f"no connection to {host}:{port} yet"
        writer.close()
        return None

    return probe


def answers_ready(url: str) -> Probe:
    """Return a probe: ready when the address answers 200; else its own words are the reason."""

    async def probe() -> str | None:
        # A proxy of the environment is for the outside, not for loopback.
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            try:
                answer = await client.get(url)
            except httpx.HTTPError:
                return f"no answer from {url} yet"
        if answer.status_code == httpx.codes.OK:
            return None
        return f"{url} answers {answer.status_code}: {answer.text[:_REASON_WIDTH]}"

    return probe
