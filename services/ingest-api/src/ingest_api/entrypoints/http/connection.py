"""A connection that sends its request's headers in time and in bounds, or is closed.

uvicorn waits for headers for ever, and takes any amount of them.
"""

import asyncio
from typing import ClassVar, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["DeadlineProtocol", "protocol"]

_MAX_HEADER_BYTES: Final = 64 * 1024


class DeadlineProtocol(HttpToolsProtocol):
    """HTTP/1.1 with limits on headers. Between requests, uvicorn's keep-alive time applies."""

    headers_timeout: ClassVar[float] = 10.0

    _deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _is_in_headers = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to headers: a chunk that reaches the body has left them behind."""
        if self._is_in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._is_in_headers and self._header_bytes > _MAX_HEADER_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Expect the headers of a request whose first byte has come."""
        super().on_message_begin()
        self._expect_headers()

    def on_headers_complete(self) -> None:
        """Hand the request over; its body has limits of its own."""
        self._disarm()
        self._is_in_headers = False
        super().on_headers_complete()

    def _expect_headers(self) -> None:
        self._disarm()
        self._is_in_headers = True
        self._header_bytes = 0
        self._deadline = self.loop.call_later(self.headers_timeout, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def protocol(headers_timeout: float) -> type[DeadlineProtocol]:
    """Return the protocol with a deadline in seconds; uvicorn makes its instances itself."""
    return type("DeadlineProtocol", (DeadlineProtocol,), {"headers_timeout": headers_timeout})
