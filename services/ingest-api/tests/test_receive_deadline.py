import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from ingest_api.entrypoints.http.receive_deadline import ReceiveDeadline, ReceivePolicy
from kartoteka_contracts.errors import RequestError
from kartoteka_runtime.clock import SystemClock

POLICY = ReceivePolicy(timeout=0.5, min_rate=1000, slack=0.1, max_bytes=5000, larger={"/big": 9000})


def body(content: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": content, "more_body": more}


class Client:
    """Sends messages, then nothing; keeps the answer."""

    def __init__(self, *messages: Message, pause: float = 0.0) -> None:
        self._messages = list(messages)
        self._pause = pause
        self.answer: list[Message] = []

    async def receive(self) -> Message:
        await asyncio.sleep(self._pause)
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)

    async def send(self, message: Message) -> None:
        self.answer.append(message)


class Reader:
    """An application that reads its whole body."""

    def __init__(self) -> None:
        self.read = 0

    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        more = True
        while more:
            message = await receive()
            self.read += len(message.get("body", b""))
            more = message.get("more_body", False)


def scope(path: str = "/") -> dict[str, Any]:
    return {"type": "http", "path": path, "headers": [(b"transfer-encoding", b"chunked")]}


async def serve(client: Client, app: Any, path: str = "/") -> None:
    guarded = ReceiveDeadline(app, POLICY, SystemClock())
    await guarded(scope(path), client.receive, client.send)


async def test_a_body_in_time_comes_through() -> None:
    reader = Reader()
    await serve(Client(body(b"x" * 3000, more=True), body(b"x" * 2000, more=False)), reader)
    assert reader.read == 5000


async def test_a_silent_client_is_cut_off() -> None:
    with pytest.raises(RequestError) as caught:
        await serve(Client(), Reader())
    assert caught.value.code == "receive_timeout"


async def test_a_trickle_is_cut_off_although_it_never_pauses_for_long() -> None:
    trickle = Client(*(body(b"x", more=True) for _ in range(100)), pause=0.02)
    with pytest.raises(RequestError) as caught:
        await serve(trickle, Reader())
    assert caught.value.code == "receive_timeout"


async def test_a_fast_client_may_not_take_for_ever_either() -> None:
    steady = Client(*(body(b"x" * 80, more=True) for _ in range(60)), pause=0.02)
    began = asyncio.get_running_loop().time()
    with pytest.raises(RequestError):
        await serve(steady, Reader())
    assert asyncio.get_running_loop().time() - began < 2


async def test_our_own_slowness_is_not_the_callers() -> None:
    async def slow(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        await asyncio.sleep(0.7)
        await receive()

    await serve(Client(body(b"x", more=True), body(b"x", more=False)), slow)


@pytest.mark.parametrize(("path", "limit"), [("/", 5000), ("/big", 9000)])
async def test_a_body_stops_at_its_paths_limit(path: str, limit: int) -> None:
    client = Client(*(body(b"x" * 1000, more=True) for _ in range(20)))
    reader = Reader()
    with pytest.raises(RequestError) as caught:
        await serve(client, reader, path)
    assert caught.value.code == "body_too_large"
    assert reader.read == limit


async def test_an_early_answer_reaches_a_client_that_still_sends() -> None:
    client = Client(*(body(b"x" * 1000, more=index < 9) for index in range(10)))

    async def refuse(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    await serve(client, refuse)
    start, first, last = client.answer
    assert (b"connection", b"close") in start["headers"]
    assert first == {"type": "http.response.body", "body": b"no", "more_body": True}
    assert last["more_body"] is False
    assert client._messages == []


async def test_an_answer_after_the_whole_body_keeps_the_connection() -> None:
    client = Client(body(b"x", more=False))

    async def answer(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    await serve(client, answer)
    assert client.answer[0]["headers"] == []
    assert len(client.answer) == 2
