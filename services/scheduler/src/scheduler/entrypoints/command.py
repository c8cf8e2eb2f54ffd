"""Running a command to its end: figures on stdout, an exit status, signals."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.signals import stop_signal
from scheduler.entrypoints.figures import Summary, write_metrics
from scheduler.ports import LockError
from scheduler.usecases.reindex import Reindex, ReindexFigures, Wanted
from scheduler.usecases.rounds import Rounds
from scheduler.usecases.tenure import LostLockError
from scheduler.usecases.tick import Tick, TickFigures

__all__ = ["AWAY", "DONE", "Report", "loop", "reindex", "tick"]

_log = get_logger(__name__)

DONE: Final = 0
AWAY: Final = 1

F = TypeVar("F", TickFigures, ReindexFigures)


class Report:
    """Where a command's figures go.

    Args:
        metrics_file: None writes none.
        out: stdout by default.
        err: stderr by default.
    """

    def __init__(
        self, metrics_file: Path | None, *, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self._metrics_file = metrics_file
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    def complain(self, why: str) -> None:
        """Tell what went wrong."""
        self._err.write(f"{why}\n")

    def end(self, summary: Summary) -> int:
        """Print the summary, write the metrics; return the exit status."""
        self._out.write(json.dumps(summary.as_json()) + "\n")
        self._out.flush()
        is_written = self.write(summary)
        return DONE if summary.is_ok and is_written else AWAY

    def write(self, summary: Summary) -> bool:
        """Write the metrics, where wanted; False: they cannot be written, and it is said."""
        if self._metrics_file is None:
            return True
        try:
            write_metrics(self._metrics_file, summary)
        except OSError as error:
            self.complain(f"the metrics file cannot be written: {error}")
            return False
        return True


async def tick(connected: AbstractAsyncContextManager[Tick], report: Report) -> int:
    """Tick once; return the exit status.

    Raises:
        SettingsError: as connecting does.
    """

    async def work(figures: TickFigures) -> None:
        async with connected as ready:
            await ready.run(figures)

    return await _once(work, TickFigures(), report)


async def reindex(
    connected: AbstractAsyncContextManager[Reindex], wanted: Wanted, report: Report
) -> int:
    """Ask for runs; return the exit status."""

    async def work(figures: ReindexFigures) -> None:
        async with connected as ready:
            await ready.run(wanted, figures)

    return await _once(work, ReindexFigures(), report)


async def loop(
    connected: AbstractAsyncContextManager[Tick], report: Report, *, every: float, limit: float
) -> int:
    """Tick until a signal comes; return the exit status.

    Raises:
        SettingsError: as connecting does.
    """
    last = Summary(is_ok=True, seconds=0.0, figures=TickFigures())
    said = ""

    def told(figures: TickFigures, seconds: float, failure: str | None) -> None:
        nonlocal last, said
        last = Summary(is_ok=failure is None, seconds=seconds, figures=figures)
        report.write(last)
        if failure is not None and failure != said:  # an outage of hours is one line
            _log.warning("tick_failed", reason=failure, emitted=figures.emitted)
        elif failure is None and (figures.due or said):
            _log.info("ticked", **last.as_json())
        said = failure or ""

    async def work() -> None:
        async with connected as ready:
            await Rounds(tick=ready, clock=ready.clock, every=every, limit=limit, told=told).run()

    await _until_signal(work())
    report.end(last)
    return DONE


async def _once(work: Callable[[F], Coroutine[Any, Any, None]], figures: F, report: Report) -> int:
    began, failure = time.monotonic(), None
    try:
        if not await _until_signal(work(figures)):
            failure = "stopped by a signal: the next try completes it"
    except (KartotekaError, LockError, LostLockError) as error:
        failure = str(error)
    except OSError as error:  # a TLS file that cannot be read
        failure = repr(error)
    if failure is not None:
        report.complain(failure)
    seconds = time.monotonic() - began
    return report.end(Summary(is_ok=failure is None, seconds=seconds, figures=figures))


async def _until_signal(work: Coroutine[Any, Any, None]) -> bool:
    """Do the work; False: a signal came first, and it was cancelled."""
    async with stop_signal() as stop:
        working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait([working])
        if working.cancelled():
            return False
        await working
        return True
