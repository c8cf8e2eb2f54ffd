"""The process that outlives a supervisor's sudden end by a moment, to kill what it left."""

import contextlib
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from kartoteka_local import leash

__all__ = ["Watcher"]


class Watcher:
    """A context; children are added and removed by pid, which is their process group's too."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(leash.__file__)), "watch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def add(self, pid: int) -> None:
        """Kill this group when the supervisor ends."""
        self._tell(f"+{pid}\n")

    def remove(self, pid: int) -> None:
        """Forget this group: it is gone."""
        self._tell(f"-{pid}\n")

    def _tell(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the watcher is not started")
        # Somebody killed it: children are still tied to this process by the kernel.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line)
            self._process.stdin.flush()
