"""A TCP proxy that a test puts between a client and its server, to break what runs through it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final, Self

from kartoteka_testkit.ports import free_ports

__all__ = ["Direction", "TcpProxy"]

_READ_BYTES: Final = 1 << 16
_CONNECT_SECONDS: Final = 5.0

_Judge = Callable[[bytes], Awaitable[bool]]
"""Takes what was read; returns when it may go on, False where the connection ends instead."""


@unique
class Direction(Enum):
    """Which way bytes go."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


@dataclass(slots=True, eq=False)
class _Connection:
    """Both ends of one connection."""

    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class TcpProxy:
    """Forwards bytes to ``target`` (host:port), which may be named after the start.

    All methods act on the loop that entered the proxy. Its port stays the same for life.
    """

    def __init__(self, target: str = "") -> None:
        self.target = target
        self.answered_bytes = 0
        """What the server sent so far."""
        self._port = free_ports(1)[0]
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._flowing = {direction: asyncio.Event() for direction in Direction}
        for event in self._flowing.values():
            event.set()
        self._answers_to_drop = 0
        self._late: asyncio.Event | None = None
        self._kept = b""

    @property
    def address(self) -> str:
        """host:port to point the client at."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The same as a base URL."""
        return f"http://{self.address}"

    def cut(self) -> int:
        """Reset all connections; new ones are served. Returns how many there were."""
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        return len(connections)

    def drop_answers(self, count: int) -> None:
        """Reset the next ``count`` connections on which the server answers, instead of that."""
        self._answers_to_drop = count

    def block(self, *directions: Direction) -> None:
        """Let no byte through, with connections open; both ways unless one is named."""
        for direction in directions or Direction:
            self._flowing[direction].clear()

    def unblock(self) -> None:
        """Let bytes through again, and those that were held."""
        self._answers_to_drop = 0
        for event in self._flowing.values():
            event.set()

    def hold_back(self, containing: bytes = b"") -> asyncio.Event:
        """Keep what clients send from now on, until the returned event is set.

        It then reaches the server whatever became of its sender: as late packets do.

        Args:
            containing: only what has these bytes in it is kept.
        """
        self._late, self._kept = asyncio.Event(), containing
        return self._late

    def let_pass(self) -> None:
        """Let through what clients send from now on; what was held back stays held."""
        self._late = None

    async def __aenter__(self) -> Self:
        host, _, port = self.address.rpartition(":")
        self._server = await asyncio.start_server(self._serve, host, int(port))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.unblock()
        self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection([writer])
        self._connections.add(connection)
        try:
            host, _, port = self.target.rpartition(":")
            async with asyncio.timeout(_CONNECT_SECONDS):
                upstream, to_server = await asyncio.open_connection(host, int(port))
            connection.writers.append(to_server)
            await asyncio.gather(
                self._pump(reader, to_server, self._to_server),
                self._pump(upstream, writer, self._to_client(connection)),
            )
        except (OSError, TimeoutError):
            pass
        finally:
            self._connections.discard(connection)
            connection.abort()

    async def _to_server(self, data: bytes) -> bool:
        late = self._late
        if late is not None and self._kept in data:
            await late.wait()
        await self._flowing[Direction.TO_SERVER].wait()
        return True

    def _to_client(self, connection: _Connection) -> _Judge:
        async def may_pass(data: bytes) -> bool:
            self.answered_bytes += len(data)
            if self._answers_to_drop > 0:
                self._answers_to_drop -= 1
                connection.abort()
                return False
            await self._flowing[Direction.TO_CLIENT].wait()
            return True

        return may_pass

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        may_pass: _Judge,
    ) -> None:
        while data := await reader.read(_READ_BYTES):
            if not await may_pass(data):
                return
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()
