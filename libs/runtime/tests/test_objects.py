"""The object store suite on a folder and on S3, and how each goes away."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import pytest
from pydantic import SecretStr

from kartoteka_contracts.errors import KartotekaError, UnavailableError
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_testkit.s3_server import S3Server, running_s3_server
from kartoteka_testkit.suites.object_store import ObjectStoreSuite, in_chunks

MIB = 1024 * 1024


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


class TestFolder(ObjectStoreSuite):
    @pytest.fixture
    def store_settings(self, tmp_path: Path) -> ObjectStoreSettings:
        return ObjectStoreSettings(url=f"file://{tmp_path}/a store/objects")

    def test_a_name_with_a_blank_is_a_name(
        self, store: ObjectStore, store_settings: ObjectStoreSettings, tmp_path: Path
    ) -> None:
        assert store is not None
        assert store_settings.url.startswith("file:")
        assert (tmp_path / "a store" / "objects").is_dir()

    async def test_what_a_killed_writer_left_is_not_listed(
        self, store: ObjectStore, tmp_path: Path
    ) -> None:
        await store.create("bodies/one", b"x")
        left = tmp_path / "a store" / "objects" / "bodies" / "two#1"
        left.write_bytes(b"half")
        assert await store.keys("bodies") == ["bodies/one"]

    async def test_a_folder_that_cannot_be_written_is_away(self, tmp_path: Path) -> None:
        store = ObjectStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/objects"))
        (tmp_path / "objects").rmdir()
        (tmp_path / "objects").write_bytes(b"a file where the folder was")
        with pytest.raises(UnavailableError) as caught:
            await store.probe()
        assert caught.value.code == "object_store_unavailable"


@pytest.mark.integration
class TestS3(ObjectStoreSuite):
    @pytest.fixture
    def store_settings(self, s3_server: S3Server) -> ObjectStoreSettings:
        return s3_server.settings(prefix=f"runs/{uuid4()}")

    async def test_a_wrong_secret_is_unavailable_and_not_shown(self, s3_server: S3Server) -> None:
        good = s3_server.settings()
        wrong = uuid4().hex
        bad = good.model_copy(update={"secret_access_key": SecretStr(wrong)})
        with pytest.raises(UnavailableError) as caught:
            await ObjectStore.open(bad).probe()
        assert wrong not in str(caught.value)


@pytest.mark.integration
async def test_an_s3_server_that_dies_is_unavailable_and_found_again(tmp_path: Path) -> None:
    server = S3Server(tmp_path / "s3")
    await server.start()
    try:
        store = ObjectStore.open(server.settings())
        await store.create("records/1", b"x")
        server.kill()
        for call in (
            lambda: store.write("bodies/1", in_chunks(bytes(12 * MIB))),
            lambda: store.create("records/2", b"x"),
            lambda: store.read("records/1"),
            lambda: store.keys("records"),
        ):
            began = time.monotonic()
            with pytest.raises(UnavailableError) as caught:
                await call()
            assert caught.value.code == "object_store_unavailable"
            assert time.monotonic() - began < 10
        await server.start()
        assert await store.read("records/1") == b"x"
    finally:
        await server.stop()


class _Forgetful(BaseHTTPRequestHandler):
    """An S3 service that ignores If-None-Match, as some do: every PUT succeeds."""

    held: ClassVar[bytes] = b""

    def do_PUT(self) -> None:
        type(self).held = self._body()
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(self.held)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def serving() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    with ExitStack() as stack:

        def serve(handler: type[BaseHTTPRequestHandler]) -> str:
            server = stack.enter_context(HTTPServer(("127.0.0.1", 0), handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield serve


class _BreakingOff(_Forgetful):
    """An S3 service whose connections break before the body is there."""

    held: ClassVar[bytes] = bytes(3 * MIB)

    def _answer(self, body: bytes) -> None:
        super()._answer(body[: len(body) // 2])
        self.close_connection = True

    def send_header(self, keyword: str, value: str) -> None:
        super().send_header(keyword, str(len(self.held)) if keyword == "Content-Length" else value)


async def test_a_body_that_arrives_in_part_is_no_corrupt_one(
    serving: Callable[[type[BaseHTTPRequestHandler]], str], tmp_path: Path
) -> None:
    settings = ObjectStoreSettings(
        url="s3://bucket/prefix",
        endpoint=serving(_BreakingOff),
        access_key_id="key",
        secret_access_key=SecretStr(uuid4().hex),
        allow_http=True,
        retry_timeout=0.5,
    )
    store = ObjectStore.open(settings)
    with pytest.raises(UnavailableError) as caught:
        await store.download("one", tmp_path / "to", size=3 * MIB, sha256="0" * 64)
    assert caught.value.code == "object_store_unavailable"


async def test_a_store_that_ignores_create_if_absent_is_found_out(
    serving: Callable[[type[BaseHTTPRequestHandler]], str],
) -> None:
    settings = ObjectStoreSettings(
        url="s3://bucket/prefix",
        endpoint=serving(_Forgetful),
        access_key_id="key",
        secret_access_key=SecretStr(uuid4().hex),
        allow_http=True,
    )
    with pytest.raises(KartotekaError, match="create-if-absent") as caught:
        await ObjectStore.open(settings).probe()
    assert not isinstance(caught.value, UnavailableError)


def test_plain_http_must_be_allowed() -> None:
    with pytest.raises(ValueError, match="OBJECT_STORE_ALLOW_HTTP"):
        ObjectStoreSettings(url="s3://bucket", endpoint="http://127.0.0.1:1")
