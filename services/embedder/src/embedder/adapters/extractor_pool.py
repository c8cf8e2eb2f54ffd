"""Reads bodies in processes that can be killed, a few at a time."""

import asyncio
import contextlib
import hashlib
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import Context
from pathlib import Path
from typing import Final

from embedder.adapters.child_protocol import Request, Setup
from embedder.adapters.extractor_process import (
    Answer,
    ExtractorProcess,
    NotStartedError,
    ProcessDiedError,
    SoftLimitReached,
)
from embedder.adapters.extractors.registry import ENGINES, parser_versions
from embedder.adapters.parser_settings import ParserSettings
from embedder.adapters.tokenizer import HashTokenizer, TokenizerSource
from embedder.domain.chunking import ChunkPolicy
from embedder.domain.fingerprint import fingerprint
from embedder.domain.parsed import Extraction, Parsed, Rejected
from embedder.domain.reading import Kill, ReadingLimits, Unreadable
from embedder.ports import StageReport
from embedder.telemetry import ParserMetrics
from kartoteka_contracts.errors import DocumentError, UnavailableError
from kartoteka_contracts.tasks import Stage
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metrics import Metrics

__all__ = ["MOCK_MEDIA_TYPE", "ExtractorPool"]

_log = get_logger(__name__)

MOCK_MEDIA_TYPE: Final = "application/x-kartoteka-mock"
"""Read by the extra extractor, where a pool is given one."""

_NO_TEXT: Final = Rejected(
    code="malformed", message="No parser finds text in the damaged document."
)


class ExtractorPool:
    """The extractor port, over processes that are started ahead and replaced when they fail.

    Args:
        settings: how many processes, and their limits.
        tokenizer: the model's.
        policy: how to cut.
        extra_extractor: a module whose ``read`` reads :data:`MOCK_MEDIA_TYPE`. Only tests, which
            need a parser that misbehaves on demand, pass one.
        metrics: of the process.
    """

    def __init__(
        self,
        settings: ParserSettings,
        *,
        tokenizer: TokenizerSource,
        policy: ChunkPolicy,
        extra_extractor: Path | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._settings = settings
        self._has_extra = extra_extractor is not None
        self._fingerprint = fingerprint(
            parsers=parser_versions(), tokenizer=_tokenizer_fingerprint(tokenizer), policy=policy
        )
        setup = Setup(
            parent=os.getpid(),
            tokenizer=str(tokenizer),
            policy=policy,
            limits=ReadingLimits(
                max_characters=settings.max_text_characters, max_pages=settings.max_pages
            ),
            max_chunks=settings.max_chunks,
            memory_bytes=settings.memory_bytes,
            cpu_seconds=int(settings.hard_limit_seconds) + 1,
            extra_extractor=None if extra_extractor is None else str(extra_extractor),
        )
        figures = ParserMetrics(metrics or Metrics())
        self._slots = [_Slot(setup, settings, figures) for _ in range(settings.children)]
        figures.watch(lambda: len(self.pids))
        self._free: asyncio.LifoQueue[_Slot] = asyncio.LifoQueue(settings.children)

    @property
    def fingerprint(self) -> str:
        """Hash of parsers, chunker and their options."""
        return self._fingerprint

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that are up."""
        return tuple(pid for slot in self._slots if (pid := slot.pid) is not None)

    async def start(self) -> None:
        """Start all processes and wait until they are ready.

        Raises:
            RuntimeError: a process does not come up, or this is not the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("parser processes end with the thread that starts them")
        try:
            await asyncio.gather(*(slot.process() for slot in self._slots))
        except NotStartedError as error:
            await self.stop()
            raise RuntimeError(f"a parser process does not start: {error}") from error
        for slot in self._slots:
            self._free.put_nowait(slot)

    async def stop(self) -> None:
        """Kill all processes. Bodies that are being read fail as if the parser had crashed."""
        await asyncio.gather(*(slot.close() for slot in self._slots))

    async def extract(
        self,
        body: Path,
        *,
        media_type: str,
        filename: str,
        report: StageReport,
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> Extraction:
        """Return chunks or a verdict. Waits for a free process; cancelling kills the one at work.

        ``begin`` is awaited when one is free, before it is given the body.

        Raises:
            DocumentError: ``timeout`` or ``parser_crashed``, which may pass at another try.
            UnavailableError: ``parser_unavailable``: no process comes up, or the pool is stopped.
        """
        engines = self._engines(media_type)
        if not engines:
            return Rejected(code="unsupported", message=f"{filename} is {media_type}.")
        slot = await self._free.get()
        try:
            if begin is not None:
                await begin()
            return await self._read(slot, body, engines, report)
        finally:
            self._free.put_nowait(slot)

    def _engines(self, media_type: str) -> Sequence[str]:
        plain = media_type.partition(";")[0].strip().lower()
        if self._has_extra and plain == MOCK_MEDIA_TYPE:
            return ("extra",)
        return ENGINES.get(plain, ())

    async def _read(
        self, slot: "_Slot", body: Path, engines: Sequence[str], report: StageReport
    ) -> Extraction:
        report(Stage.PARSING, 0.0)
        deadline = _Deadline(self._settings)
        failure: ProcessDiedError | Unreadable | None = None
        for engine in engines:
            try:
                answer = await slot.ask(Request(body=body, engine=engine), deadline, report)
            except NotStartedError as error:
                message = f"No parser process starts: {error}."
                raise UnavailableError("parser_unavailable", message) from error
            except ProcessDiedError as error:
                if deadline.is_over:
                    raise DocumentError("timeout", deadline.message) from error
                _log.warning("parser_died", engine=engine, reason=str(error))
                failure = error
                continue
            if isinstance(answer, SoftLimitReached):
                raise DocumentError("timeout", deadline.message)
            if isinstance(answer, Parsed | Rejected):
                return answer if failure is None else _second_opinion(answer)
            _log.info("parser_gave_up", engine=engine, reason=answer.message)
            failure = answer
        if isinstance(failure, ProcessDiedError):
            raise DocumentError("parser_crashed", f"The parser ended: {failure}.") from failure
        return _NO_TEXT


def _second_opinion(answer: Extraction) -> Extraction:
    # "Empty" would take the older version out of the index; a document that one engine could not
    # even open is more likely damaged than without text.
    return _NO_TEXT if isinstance(answer, Parsed) and not answer.chunks else answer


class _Deadline:
    """The time that one document has, whichever engines read it."""

    def __init__(self, settings: ParserSettings) -> None:
        self._settings = settings
        self._used = 0.0
        self.message = f"Parsing took longer than {settings.soft_limit_seconds:g} s."

    @property
    def is_over(self) -> bool:
        return self._used >= self._settings.soft_limit_seconds

    @contextlib.contextmanager
    def holds(self, process: ExtractorProcess) -> Iterator[None]:
        """Within, the process is warned and killed when its time is over.

        Only what passes here counts: a process that is slow to start costs a document nothing.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        timers = (
            loop.call_at(began + self._settings.soft_limit_seconds - self._used, process.warn),
            loop.call_at(began + self._settings.hard_limit_seconds - self._used, process.kill),
        )
        try:
            yield
        finally:
            self._used += loop.time() - began
            for timer in timers:
                timer.cancel()


class _Slot:
    """The place of one process, and whoever holds it now."""

    def __init__(self, setup: Setup, settings: ParserSettings, metrics: ParserMetrics) -> None:
        self._setup = setup
        self._settings = settings
        self._metrics = metrics
        self._coming: asyncio.Task[ExtractorProcess] | None = None
        self._leaving: set[ExtractorProcess] = set()
        """Killed, and perhaps not yet forgotten by the system."""
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        process = self._present()
        return process.pid if process is not None else None

    async def ask(self, request: Request, deadline: _Deadline, report: StageReport) -> Answer:
        """Have a body read by this slot's process; a process that failed is replaced.

        Raises:
            ProcessDiedError: there is no answer.
            NotStartedError: there is no process to ask.
        """
        process = await self.process()
        is_usable = False
        try:
            with deadline.holds(process):
                answer = await process.ask(request, report)
        except ProcessDiedError:
            self._metrics.killed(Kill.TIMEOUT if deadline.is_over else Kill.CRASHED)
            raise
        except asyncio.CancelledError:
            self._metrics.killed(Kill.CANCELLED)
            raise
        else:
            is_usable = isinstance(answer, Parsed | Rejected) and not deadline.is_over
            if deadline.is_over or isinstance(answer, SoftLimitReached):
                self._metrics.killed(Kill.TIMEOUT)
            return answer
        finally:
            if not is_usable or process.answered >= self._settings.recycle_after:
                self._replace(process)

    async def process(self) -> ExtractorProcess:
        """Return the process, started now if there is none.

        Raises:
            NotStartedError: it does not come up.
        """
        if self._is_closed:
            raise NotStartedError("the pool is stopped")
        present = self._present()
        if present is not None and not present.is_alive:
            self._replace(present)
        elif self._coming is None or (self._coming.done() and present is None):
            self._coming = asyncio.create_task(self._start(), context=Context())
        assert self._coming is not None  # noqa: S101 - set on each path above
        # Shielded: whoever waits may be cancelled, the process is the slot's.
        return await asyncio.shield(self._coming)

    async def close(self) -> None:
        """Kill the process, and start no other."""
        self._is_closed = True
        coming, self._coming = self._coming, None
        if coming is not None:
            if not coming.done():
                coming.cancel()
            found = (await asyncio.gather(coming, return_exceptions=True))[0]
            if isinstance(found, ExtractorProcess):
                self._leaving.add(found)
        await asyncio.gather(*(process.end() for process in self._leaving))

    def _present(self) -> ExtractorProcess | None:
        coming = self._coming
        if coming is None or not coming.done() or coming.cancelled() or coming.exception():
            return None
        return coming.result()

    def _replace(self, old: ExtractorProcess) -> None:
        old.kill()
        if not self._is_closed:
            self._leaving.add(old)
            self._coming = asyncio.create_task(self._start(old), context=Context())

    async def _start(self, old: ExtractorProcess | None = None) -> ExtractorProcess:
        if old is not None:
            await old.end()
            self._leaving.discard(old)
        return await ExtractorProcess.start(self._setup, limit=self._settings.start_limit_seconds)


def _tokenizer_fingerprint(source: TokenizerSource) -> str:
    if not isinstance(source, Path):
        return HashTokenizer.fingerprint
    return hashlib.sha256(source.read_bytes()).hexdigest()[:16]
