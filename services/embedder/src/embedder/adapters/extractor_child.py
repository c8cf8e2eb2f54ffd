"""A parser process: the only place where untrusted bytes are opened.

It is told its limits, gives up what it does not need, loads its engines, and then reads one body at
a time, named by a path, until its worker closes the pipe. It says nothing on standard output or
error.
"""

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Final, NoReturn, cast

from embedder.adapters.child_protocol import (
    Frame,
    Request,
    Setup,
    chunk_frames,
    pack,
    read_frame,
)
from embedder.adapters.confinement import confine, grant_cpu
from embedder.adapters.extractors.registry import WARM, ReadBody, engine
from embedder.adapters.tokenizer import load_tokenizer
from embedder.domain.chunking import cut
from embedder.domain.parsed import Chunk, Rejected
from embedder.domain.reading import Reading, TextTooLargeError, Unreadable
from embedder.domain.tokens import Tokenizer

__all__ = ["SOFT_LIMIT_SIGNAL", "main"]

SOFT_LIMIT_SIGNAL: Final = signal.SIGUSR1
"""Asks for an end at the next safe point."""

_REPORT_SECONDS: Final = 0.25


class _SoftLimitError(BaseException):
    """The soft limit is over. No extractor may catch it as an error of its own."""


class _Channel:
    """Sends frames; the soft limit never parts one."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._is_due = False
        self._is_armed = False
        signal.signal(SOFT_LIMIT_SIGNAL, self._on_signal)

    def arm(self) -> None:
        """From here on the soft limit interrupts."""
        self._is_due = False
        self._is_armed = True

    def disarm(self) -> None:
        """From here on it does not."""
        self._is_armed = False

    def send(self, frame: Frame) -> None:
        was_armed, self._is_armed = self._is_armed, False
        self._sink.write(pack(frame))
        self._sink.flush()
        self._is_armed = was_armed
        if was_armed and self._is_due:
            raise _SoftLimitError

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._is_due = True
        if self._is_armed:
            raise _SoftLimitError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What stays the same for all bodies."""

    setup: Setup
    tokenizer: Tokenizer
    engines: dict[str, ReadBody]
    channel: _Channel

    def serve(self, request: Request) -> None:
        """Read one body and answer.

        Raises:
            TextTooLargeError: and whatever an engine raises; the caller answers for it.
        """
        began = time.monotonic()
        read = self.engines.get(request.engine) or engine(request.engine)
        found = read(request.body, self.setup.limits, self._progress())
        parsed = time.monotonic()
        match found:
            case Rejected():
                self._end("rejected", code=found.code, message=found.message)
            case Unreadable():
                self._end("unreadable", message=found.message)
            case Reading():
                self._chunk(found, {"parsing": parsed - began})

    def _chunk(self, reading: Reading, seconds: dict[str, float]) -> None:
        self.channel.send(Frame(header={"kind": "stage", "stage": "chunking", "share": 0.0}))
        began = time.monotonic()
        tokens = self.tokenizer.encode(reading.text)
        chunks: tuple[Chunk, ...] = cut(reading, tokens, self.setup.policy)
        if len(chunks) > self.setup.max_chunks:
            message = f"The text makes {len(chunks)} chunks; the limit is {self.setup.max_chunks}."
            self._end("rejected", code="text_too_large", message=message)
            return
        for frame in chunk_frames(chunks):
            self.channel.send(frame)
        self._end(
            "parsed",
            characters=len(reading.text),
            parser=reading.parser,
            pages=reading.pages,
            pages_with_text=reading.pages_with_text,
            seconds=seconds | {"chunking": time.monotonic() - began},
        )

    def _end(self, kind: str, **fields: object) -> None:
        self.channel.disarm()
        self.channel.send(Frame(header={"kind": kind, **fields}))

    def _progress(self) -> Callable[[float], None]:
        last = time.monotonic()

        def report(share: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _REPORT_SECONDS:
                last = now
                self.channel.send(
                    Frame(header={"kind": "stage", "stage": "parsing", "share": share})
                )

        return report


def main() -> int:
    """Serve until the worker closes the pipe."""
    requests, answers = _pipes()
    first = read_frame(requests)
    if first is None:
        return 0
    setup = Setup.from_header(first.header)
    confine(parent=setup.parent, memory_bytes=setup.memory_bytes)
    work = _load(setup, _Channel(answers))
    work.channel.send(Frame(header={"kind": "ready"}))
    while (frame := read_frame(requests)) is not None:
        _serve(work, Request.from_header(frame.header))
    return 0


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the pipes away from standard input and output: what a library prints there is lost."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def _load(setup: Setup, channel: _Channel) -> _Work:
    engines = {name: engine(name) for name in WARM}
    if setup.extra_extractor is not None:
        engines["extra"] = _extra(Path(setup.extra_extractor))
    source = setup.tokenizer
    tokenizer = load_tokenizer("hash" if source == "hash" else Path(source))
    tokenizer.encode("Warm.")
    return _Work(setup=setup, tokenizer=tokenizer, engines=engines, channel=channel)


def _extra(path: Path) -> ReadBody:
    spec = importlib.util.spec_from_file_location("extra_extractor", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("ReadBody", module.read)


def _serve(work: _Work, request: Request) -> None:
    grant_cpu(work.setup.cpu_seconds)
    channel = work.channel
    try:
        channel.arm()
        work.serve(request)
    except TextTooLargeError:
        channel.disarm()
        limit = work.setup.limits.max_characters
        message = f"The document holds more than {limit} characters of text."
        header = {"kind": "rejected", "code": "text_too_large", "message": message}
        channel.send(Frame(header=header))
    except _SoftLimitError:
        channel.disarm()
        channel.send(Frame(header={"kind": "timeout"}))
    except Exception as error:  # noqa: BLE001 - the job's last guard: an engine may raise anything
        _fail(channel, error)
    finally:
        channel.disarm()


def _fail(channel: _Channel, error: Exception) -> NoReturn:
    # What the engine left behind cannot be trusted, least of all where memory ran out.
    channel.disarm()
    channel.send(Frame(header={"kind": "failed", "error": type(error).__name__}))
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
