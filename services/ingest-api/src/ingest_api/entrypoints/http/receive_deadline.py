"""Request bodies arrive in time and in bounds, or the request is refused.

An ASGI middleware: the server below has no such limits. Only the time spent waiting for the
client counts, so a slow object store is never blamed on the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kartoteka_contracts.errors import RequestError
from kartoteka_runtime.clock import Clock

__all__ = ["ReceiveDeadline", "ReceivePolicy"]

_LINGER_SECONDS: Final = 5.0
_LINGER_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivePolicy:
    """How a body must arrive."""

    timeout: float
    """Seconds for all of it."""
    min_rate: int
    """Bytes per second on average."""
    slack: float
    """Seconds that it may lag behind the rate."""
    max_bytes: int
    """Bytes of a body, on every path but those of ``larger``."""
    larger: Mapping[str, int]
    """Other limits, by path."""


class ReceiveDeadline:
    """Wraps an application's ``receive``.

    Where the application answers before the whole body has come, the rest is read and thrown away
    for a moment: a connection that is closed on unread data is reset, and the client would never
    see the answer.
    """

    def __init__(self, app: ASGIApp, policy: ReceivePolicy, clock: Clock) -> None:
        self._app = app
        self._policy = policy
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        limit = self._policy.larger.get(scope["path"], self._policy.max_bytes)
        body = _Body(receive, send, self._policy, self._clock, limit)
        await self._app(scope, body.receive, body.send)


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


class _Body:
    def __init__(
        self, receive: Receive, send: Send, policy: ReceivePolicy, clock: Clock, limit: int
    ) -> None:
        self._receive = receive
        self._send = send
        self._policy = policy
        self._clock = clock
        self._limit = limit
        self._is_complete = False
        self._is_late = False
        self._received = 0
        self._waited = 0.0

    async def receive(self) -> Message:
        """Return the next message of the body.

        Raises:
            RequestError: ``receive_timeout`` or ``body_too_large``.
        """
        if self._is_complete:
            return await self._receive()
        allowed = min(
            self._policy.timeout, self._policy.slack + self._received / self._policy.min_rate
        )
        begun = self._clock.monotonic()
        message: Message | None = None
        with anyio.move_on_after(max(0.0, allowed - self._waited)):
            message = await self._receive()
        self._waited += self._clock.monotonic() - begun
        if message is None:
            self._is_late = True
            raise RequestError(
                "receive_timeout",
                f"{self._received} bytes came in {self._waited:.0f} s; send at least "
                f"{self._policy.min_rate} bytes per second",
            )
        self._note(message)
        if self._received > self._limit:
            raise RequestError("body_too_large", f"the request has more than {self._limit} bytes")
        return message

    def _note(self, message: Message) -> None:
        self._received += len(message.get("body", b""))
        # A disconnect ends a body, too.
        self._is_complete = not message.get("more_body", False)

    async def send(self, message: Message) -> None:
        """Pass an answer on; one that comes before the body's end closes the connection."""
        if self._is_complete:
            await self._send(message)
        elif message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            await self._send({**message, "headers": headers})
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    async def _linger(self) -> None:
        if self._is_late:
            return  # a client that sends nothing reads the answer well enough
        most = self._received + _LINGER_BYTES
        with anyio.move_on_after(_LINGER_SECONDS):
            while not self._is_complete and self._received < most:
                self._note(await self._receive())
