import asyncio
import contextlib
import socket

import pytest

from kartoteka_local.probes import accepts_connections, answers_ready


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param("200 OK\r\n\r\n{}", None, id="ready"),
        pytest.param(
            '503 No\r\n\r\n{"status":"x","reasons":{"topics":"one is missing","view":"behind"}}',
            "topics: one is missing; view: behind",
            id="its own reasons",
        ),
        pytest.param("503 No\r\n\r\nbusy", "answers 503", id="no reasons"),
    ],
)
async def test_a_service_says_itself_why_it_is_not_ready(answer: str, said: str | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):  # it only knocked
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {answer}".encode())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reason = await answers_ready(f"http://127.0.0.1:{port}/healthz/ready")()
        assert await accepts_connections("127.0.0.1", port)() is None
    assert reason == said if said is None else said in str(reason)


async def test_nobody_there_is_a_reason_too() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert await answers_ready(f"http://127.0.0.1:{port}/")() is not None
        assert await accepts_connections("127.0.0.1", port)() is not None
