"""How children are asked whether they are ready."""

import asyncio
import contextlib

import httpx

from kartoteka_local.program import Probe

__all__ = ["accepts_connections", "answers_ready"]

_TIMEOUT_SECONDS = 5.0
_REASON_WIDTH = 120


def accepts_connections(host: str, port: int) -> Probe:
    """Return a probe: ready when the port takes a connection."""

    async def probe() -> str | None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            return f"no connection to {host}:{port} yet"
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
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
        return _reasons(answer) or f"{url} answers {answer.status_code}"

    return probe


def _reasons(answer: httpx.Response) -> str:
    """Return what a service of ours says of itself; nothing where it is put another way."""
    try:
        reasons = answer.json()["reasons"]
        said = [f"{name}: {str(reason)[:_REASON_WIDTH]}" for name, reason in reasons.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return "; ".join(said)
