"""An HTTP proxy that a test puts between a service and its server, to act between two calls."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

from kartoteka_testkit.ports import free_ports

__all__ = ["FaultProxy", "Gate", "Match"]

_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})

Match = Callable[[str, str, bytes], bool]
"""Takes method, path and body; whether a gate concerns this call."""


@dataclass(slots=True, kw_only=True)
class Gate:
    """A place where calls are held: before they reach the server, or before their answers return.

    ``reached`` is set by the first call that comes; all wait until ``opened`` is set.
    """

    match: Match
    is_before: bool
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_through(self) -> None:
        """Wait here as a call does."""
        self.reached.set()
        await self.opened.wait()


class FaultProxy:
    """Forwards everything to ``target``; holds what a gate names."""

    def __init__(self, target: str) -> None:
        self._target = target.rstrip("/")
        self._gates: list[Gate] = []
        self._runner: web.AppRunner | None = None
        self._session: ClientSession | None = None
        self._port = free_ports(1)[0]

    @property
    def url(self) -> str:
        """Where the service under test is pointed at."""
        return f"http://127.0.0.1:{self._port}"

    def hold_before(self, match: Match) -> Gate:
        """Hold matching calls before the server sees them."""
        return self._add(Gate(match=match, is_before=True))

    def hold_after(self, match: Match) -> Gate:
        """Hold the answers of matching calls: the server has done what they asked."""
        return self._add(Gate(match=match, is_before=False))

    def _add(self, gate: Gate) -> Gate:
        self._gates.append(gate)
        return gate

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            timeout=ClientTimeout(total=None),
            connector=TCPConnector(limit=0),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for gate in self._gates:
            gate.opened.set()
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _forward(self, request: web.Request) -> web.Response:
        body = await request.read()
        await self._at_gates(request, body, is_before=True)
        if self._session is None:
            raise web.HTTPBadGateway
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP and name.lower() != "host"
        }
        try:
            async with self._session.request(
                request.method, self._target + request.raw_path, data=body, headers=headers
            ) as answer:
                content = await answer.read()
        except ClientError as error:
            raise web.HTTPBadGateway(text=str(error)) from error
        await self._at_gates(request, body, is_before=False)
        kept = {
            name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        return web.Response(status=answer.status, body=content, headers=kept)

    async def _at_gates(self, request: web.Request, body: bytes, *, is_before: bool) -> None:
        waits: list[Awaitable[None]] = [
            gate.pass_through()
            for gate in self._gates
            if gate.is_before is is_before and gate.match(request.method, request.path, body)
        ]
        if waits:
            await asyncio.gather(*waits)
