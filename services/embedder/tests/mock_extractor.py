"""A parser that does what its body says, one directive a line: the worst that a file could do."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from embedder.adapters.extractors.registry import Progress
from embedder.domain.reading import Reading, ReadingBuilder, ReadingLimits


def read(body: Path, limits: ReadingLimits, progress: Progress) -> Reading:
    builder = ReadingBuilder(limits.max_characters)
    for line in body.read_text().splitlines():
        name, _, argument = line.partition(" ")
        builder.add(_DIRECTIVES[name](argument) or "")
        progress(0.5)
    return builder.build(parser="mock 1")


def _hang(_argument: str) -> None:
    # In native code, where no Python signal handler ever runs.
    libc = ctypes.PyDLL(None)
    while True:
        libc.usleep(900_000_000)


def _hang_politely(_argument: str) -> None:
    while True:
        time.sleep(0.01)


def _swallow(_argument: str) -> None:
    while True:
        with contextlib.suppress(Exception):  # as careless parsers do
            time.sleep(0.01)


def _oom(_argument: str) -> None:
    held = []
    while True:
        held.append(bytearray(8 * 1024 * 1024))


def _native_oom(_argument: str) -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    while libc.malloc(ctypes.c_size_t(8 * 1024 * 1024)):
        pass
    os.abort()


def _flood(_argument: str) -> None:
    for number in (1, 2):
        for _ in range(64):
            os.write(number, b"x" * 65536)
    print("x" * 1_000_000)  # noqa: T201 - the flood
    sys.stdout.flush()


def _segv(_argument: str) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def _start_thread() -> None:
    thread = threading.Thread(target=time.sleep, args=(0,))
    thread.start()
    thread.join()


def _tried(act: Callable[[], object]) -> str:
    try:
        act()
    except (OSError, RuntimeError) as error:
        return f"refused {type(error).__name__}"
    return "done"


def _write(argument: str) -> None:
    with Path(argument).open("wb") as sink:
        sink.write(b"x" * 100_000)


_DIRECTIVES: dict[str, Callable[[str], str | None]] = {
    "hang": _hang,
    "hang-politely": _hang_politely,
    "swallow": _swallow,
    "cpu": lambda _: "x" * sum(1 for _ in iter(int, 1)),
    "oom": _oom,
    "native-oom": _native_oom,
    "segv": _segv,
    "exit": lambda _: os._exit(0),
    "raise": lambda argument: str(int(argument)),
    "flood-stdout": _flood,
    "fork": lambda _: _tried(_fork),
    "thread": lambda _: _tried(_start_thread),
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "text": lambda argument: argument,
    "pid": lambda _: str(os.getpid()),
    "environment": lambda _: " ".join(sorted(os.environ)),
    "connect": lambda _: _tried(socket.socket),
    "exec": lambda _: _tried(lambda: subprocess.run(["/bin/true"], check=False)),
    "write": lambda path: _tried(lambda: _write(path)),
    "stdin": lambda _: sys.stdin.read(1),
}
