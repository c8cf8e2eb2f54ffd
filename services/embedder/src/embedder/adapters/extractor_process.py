"""One parser process, seen from the worker: start it, ask it, stop it, kill it."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from typing import Any, Final, Self, TypeAlias

from embedder.adapters.child_protocol import (
    PREFIX_BYTES,
    Frame,
    ProtocolError,
    Request,
    Setup,
    chunks_of,
    lengths,
    pack,
    unpack,
)
from embedder.adapters.extractor_child import SOFT_LIMIT_SIGNAL
from embedder.domain.parsed import Chunk, Extraction, Parsed, Rejected
from embedder.domain.reading import Unreadable
from kartoteka_contracts.errors import ERRORS
from kartoteka_contracts.tasks import Stage

__all__ = [
    "Answer",
    "ExtractorProcess",
    "NotStartedError",
    "ProcessDiedError",
    "SoftLimitReached",
]

_ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""All that a process is told by its environment: it must not know a secret."""

_READ_OUT_BYTES: Final = 256 * 1024


class ProcessDiedError(Exception):
    """The process ended, or answered nonsense, and must be replaced."""


class NotStartedError(Exception):
    """No process comes up: no document was there to be blamed."""


class SoftLimitReached:
    """It stopped by itself when it was asked to."""


Answer: TypeAlias = Extraction | Unreadable | SoftLimitReached
OnStage: TypeAlias = Callable[[Stage, float], None]


class ExtractorProcess:
    """A process that reads one body at a time. Made by :meth:`start`."""

    def __init__(self, process: Process, *, max_chunks: int) -> None:
        self._process = process
        self._max_chunks = max_chunks
        self._reading = asyncio.Lock()
        self.answered = 0
        """Bodies that it has read."""

    @classmethod
    async def start(cls, setup: Setup, *, limit: float) -> Self:
        """Start a process and wait until its engines are loaded, ``limit`` seconds at most.

        To be called in the main thread: the kernel ends the process with the thread that started
        it.

        Raises:
            NotStartedError: it did not come up.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-B", "-m", "embedder.adapters.extractor_child"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        except OSError as error:
            raise NotStartedError(f"the system starts no process: {error}") from error
        self = cls(process, max_chunks=setup.max_chunks)
        try:
            async with asyncio.timeout(limit):
                await self._send(Frame(header=setup.to_header()))
                await self._expect_ready()
        except TimeoutError as error:
            await self.end()
            raise NotStartedError(f"it was not ready within {limit:g} s") from error
        except ProcessDiedError as error:
            await self.end()
            raise NotStartedError(str(error)) from error
        except BaseException:
            await self.end()
            raise
        return self

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked, as far as is known."""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._process.pid

    async def ask(self, request: Request, on_stage: OnStage) -> Answer:
        """Have a body read.

        Raises:
            ProcessDiedError: there is no answer. The process must not be asked again.
        """
        await self._send(Frame(header=request.to_header()))
        chunks: list[Chunk] = []
        while True:
            frame = await self._receive()
            try:
                answer = self._take(frame, chunks, on_stage)
            except (KeyError, TypeError, ValueError, ProtocolError) as error:
                raise ProcessDiedError(f"an answer means nothing: {error!r}") from error
            if answer is not None:
                self.answered += 1
                return answer

    def warn(self) -> None:
        """Ask it to stop reading at the next safe point."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(SOFT_LIMIT_SIGNAL)

    def kill(self) -> None:
        """End it and whatever it has started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill it and wait until the system has forgotten it."""
        self.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._read_out()
        await self._process.wait()

    def _take(self, frame: Frame, chunks: list[Chunk], on_stage: OnStage) -> Answer | None:
        header = frame.header
        match header["kind"]:
            case "stage":
                on_stage(Stage(header["stage"]), float(header["share"]))
                return None
            case "chunks":
                chunks.extend(chunks_of(frame))
                if len(chunks) > self._max_chunks:
                    raise ProtocolError("more chunks than it may make")
                return None
            case "parsed":
                return _parsed(header, tuple(chunks))
            case "rejected":
                code = ERRORS[header["code"]].code
                return Rejected(code=code, message=str(header["message"])[:500])
            case "unreadable":
                return Unreadable(message=str(header["message"])[:500])
            case "timeout":
                return SoftLimitReached()
            case "failed":
                raise ProcessDiedError(f"it failed with {str(header['error'])[:100]}")
            case _:
                raise ProtocolError("an unknown answer")

    async def _expect_ready(self) -> None:
        frame = await self._receive()
        if frame.header.get("kind") != "ready":
            raise ProcessDiedError("it did not say that it is ready")

    async def _send(self, frame: Frame) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was opened with a pipe
        try:
            self._process.stdin.write(pack(frame))
            await self._process.stdin.drain()
        except OSError as error:
            raise ProcessDiedError("it has closed its pipe") from error

    async def _read_out(self) -> None:
        """Read what nobody will read any more.

        asyncio waits for a process until its pipes have ended, too, and stops reading from one
        whose buffer is full: where an answer was cut off, it would wait for ever.
        """
        assert self._process.stdout is not None  # noqa: S101 - it was opened with a pipe
        with contextlib.suppress(OSError):
            async with self._reading:
                while await self._process.stdout.read(_READ_OUT_BYTES):
                    pass

    async def _receive(self) -> Frame:
        assert self._process.stdout is not None  # noqa: S101 - it was opened with a pipe
        try:
            async with self._reading:
                prefix = await self._process.stdout.readexactly(PREFIX_BYTES)
                header, payload = lengths(prefix)
                rest = await self._process.stdout.readexactly(header + payload)
            return unpack(rest[:header], rest[header:])
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ProcessDiedError("it ended without an answer") from error
        except ProtocolError as error:
            raise ProcessDiedError(str(error)) from error


def _parsed(header: dict[str, Any], chunks: tuple[Chunk, ...]) -> Parsed:
    if [chunk.n for chunk in chunks] != list(range(len(chunks))):
        raise ProtocolError("chunks are missing")
    seconds = {str(stage): float(value) for stage, value in header["seconds"].items()}
    pages, with_text = header["pages"], header["pages_with_text"]
    return Parsed(
        chunks=chunks,
        characters=int(header["characters"]),
        parser=str(header["parser"])[:200],
        pages=None if pages is None else int(pages),
        pages_with_text=None if with_text is None else int(with_text),
        seconds=seconds,
    )
