"""The embedded Qdrant as a process that a test starts, kills and starts again."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["FacadeEndedError", "QdrantFacade", "qdrant_facade"]

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
_READY: Final = "ready on "


class FacadeEndedError(Exception):
    """It ended instead of becoming ready; the message is what it said."""


@dataclass(slots=True, kw_only=True)
class QdrantFacade:
    """One data folder, served by at most one process of ours. Calls block."""

    data: Path
    log: Path
    api_key: str = ""
    flush_seconds: float = 5.0
    port: int = 0
    """0 until it was first started; the same one after that, so that clients find it again."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and return when it can be called.

        Raises:
            FacadeEndedError: it ended instead.
        """
        environment = {
            **os.environ,
            "EMBEDDED_QDRANT_API_KEY": self.api_key,
            "EMBEDDED_QDRANT_FLUSH_SECONDS": str(self.flush_seconds),
        }
        command = [sys.executable, "-m", "kartoteka_local.qdrant"]
        command += ["--data", str(self.data), "--port", str(self.port)]
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self._process = process
        deadline = time.monotonic() + _START_SECONDS
        while (found := self._ready_port()) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise FacadeEndedError(self.log.read_text())
            time.sleep(_POLL_SECONDS)
        self.port = found

    def kill(self) -> None:
        """End it by SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> int:
        """End it by SIGTERM and return its exit status; 0 where it does not run."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _ready_port(self) -> int | None:
        for line in self.log.read_text().splitlines():
            if _READY in line:
                return int(line.rpartition(":")[2])
        return None


@contextmanager
def qdrant_facade(
    folder: Path, *, api_key: str = "", flush_seconds: float = 5.0
) -> Iterator[QdrantFacade]:
    """Serve a fresh data folder below ``folder`` for as long as the block lasts."""
    facade = QdrantFacade(
        data=folder / "qdrant",
        log=folder / "qdrant.log",
        api_key=api_key,
        flush_seconds=flush_seconds,
    )
    try:
        facade.start()
        yield facade
    finally:
        facade.stop()
