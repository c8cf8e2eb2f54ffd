"""Qdrant behind https, with a certificate of an authority of one's own."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from qdrant_client.http.exceptions import ResponseHandlingException

from kartoteka_index import QdrantSettings
from kartoteka_index.client import connect

_BODY: Final = b'{"result": {"collections": []}, "status": "ok", "time": 0.0}'
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: " + str(len(_BODY)).encode() + b"\r\n\r\n" + _BODY
)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_ANSWER)
    await writer.drain()
    writer.close()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1, and its key."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*new, *name, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True
    )
    return cert, key


@pytest.fixture
async def served(certificate: tuple[Path, Path]) -> AsyncIterator[tuple[str, Path]]:
    """URL of what answers as an empty Qdrant, and its certificate."""
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", cert


async def test_a_certificate_of_the_named_authority_is_trusted(served: tuple[str, Path]) -> None:
    url, cert = served
    client = connect(QdrantSettings(url=url, ca_file=cert))
    try:
        assert (await client.get_collections()).collections == []
    finally:
        await client.close()


async def test_one_of_an_authority_that_nobody_named_is_not(served: tuple[str, Path]) -> None:
    url, _cert = served
    client = connect(QdrantSettings(url=url))
    try:
        with pytest.raises(ResponseHandlingException, match="certificate verify failed"):
            await client.get_collections()
    finally:
        await client.close()
