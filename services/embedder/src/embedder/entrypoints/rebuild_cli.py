"""``python -m embedder rebuild``: what it takes, and what it prints."""

import argparse
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TextIO

from embedder.entrypoints.reconcile_cli import cabinet_number, seconds
from embedder.usecases.rebuild import RebuildPlan, Watch
from embedder.usecases.rebuild_report import RebuildReport
from embedder.usecases.rebuild_window import Limits
from kartoteka_contracts.errors import KartotekaError

__all__ = ["add_rebuild_arguments", "rebuild_plan", "run_rebuild"]

_DONE: Final = 0
_FAILED: Final = 1
_TERMINAL_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 15.0
_MOST_WINDOW: Final = 100_000

_ABOUT: Final = """\
Make index and view anew from object storage alone, after Qdrant's data (and Kafka's) is lost, or
to move to a new Qdrant or another model. Object storage has every accepted document, delete,
cancellation and setting: they are sent to the workers again with the ids and versions that they
were accepted with, and awaited. Afterwards every search finds what it found before, and what was
deleted stays deleted.

When:     Qdrant lost data, or is empty, or MODEL_NAME has changed. Also where only Kafka lost its
          data: then it costs next to nothing, and scheduler and view learn of every cabinet again.
Cost:     every document is parsed and embedded once more: as long as the first indexing of all
          took. It costs nothing for what is decided already. At most --window documents lie in
          Kafka at a time; interactive uploads go first. Documents that failed fail again, and are
          dead letters again.
Before:   suspend reconcile and the scheduler (they would send the newest version alone, before the
          older one that it may fail over), run  kartoteka-topics provision, and start the workers
          anew: they must not remember what was there.
Stopping: at any point, by any signal. Begin it again: it goes on with what is undecided.
"""

_EXAMPLES: Final = """\
examples:
  # what would it do?
  python -m embedder rebuild --dry-run

  # everything; figures for programs
  python -m embedder rebuild | jq .outcomes

  # the most important cabinet first
  python -m embedder rebuild --cabinet 7 && python -m embedder rebuild

output: one JSON object, last on stdout; the progress on stderr: documents done, rate, time left.
`todo` is what was undecided at the beginning, `outcomes` what was decided, `failures` names the
first hundred documents that failed or stayed undecided.

exit status:
  0  done: all that can be read is decided (documents that fail are decided, too: see `failures`)
  1  failed: a store or Kafka is away, nothing is decided any more, or works stay undecided
  2  wrong usage, or a wrong setting

See docs/runbooks/rebuild.md for the whole procedure.
"""

Rebuilding = Callable[[RebuildPlan, Watch], Awaitable[RebuildReport]]


def add_rebuild_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of ``rebuild``."""
    limits = Limits()
    parser.description = _ABOUT
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cabinet", metavar="N", type=cabinet_number, help="this cabinet only")
    parser.add_argument(
        "--dry-run", action="store_true", help="send nothing; count what is undecided"
    )
    parser.add_argument(
        "--window",
        metavar="N",
        type=_window,
        default=limits.documents,
        help="documents under way at a time (default: %(default)d)",
    )
    parser.add_argument(
        "--patience",
        metavar="SECONDS",
        type=seconds,
        default=limits.patience_seconds,
        help="without any decision, after which it gives up; more than all tries at one document "
        "take (default: %(default)g)",
    )


def rebuild_plan(parsed: argparse.Namespace) -> RebuildPlan:
    """Return what the arguments ask for."""
    return RebuildPlan(
        cabinet=parsed.cabinet,
        is_dry=parsed.dry_run,
        limits=Limits(documents=parsed.window, patience_seconds=parsed.patience),
    )


async def run_rebuild(
    plan: RebuildPlan,
    rebuild: Rebuilding,
    *,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Rebuild and print; return the exit status."""
    out, err = out or sys.stdout, err or sys.stderr
    progress = _Progress(err)
    is_done = True
    try:
        await rebuild(plan, progress)
    except (KartotekaError, OSError) as error:  # the latter: a timeout, a TLS file, ...
        is_done = False
        progress.clear()
        err.write(f"{error}\n")
    report = progress.report
    progress.clear()
    if report.given_up:
        is_done = False
        err.write(f"{report.given_up} works stay undecided, however often they are sent\n")
    summary: dict[str, Any] = {"ok": is_done, **report.as_json()}
    out.write(json.dumps(summary) + "\n")
    out.flush()
    return _DONE if is_done else _FAILED


class _Progress:
    """One line that changes, on a terminal; a line now and then, elsewhere."""

    def __init__(self, err: TextIO) -> None:
        self.report = RebuildReport()
        self._err = err
        self._is_terminal = err.isatty()
        self._said_at = time.monotonic()
        self._is_dirty = False

    def __call__(self, report: RebuildReport) -> None:
        self.report = report
        now = time.monotonic()
        if now - self._said_at < (_TERMINAL_SECONDS if self._is_terminal else _LOG_SECONDS):
            return
        self._said_at = now
        if self._is_terminal:
            self._is_dirty = True
            self._err.write(f"\r\x1b[K{progress_line(report)}")
        else:
            self._err.write(f"{progress_line(report)}\n")
        self._err.flush()

    def clear(self) -> None:
        if self._is_dirty:
            self._err.write("\r\x1b[K")
            self._is_dirty = False


def progress_line(report: RebuildReport) -> str:
    """Return how far it is, for people."""
    if report.survey_seconds is None:
        return (
            f"counting: {report.documents} documents of {report.cabinets} cabinets, "
            f"{report.todo} to do"
        )
    line = f"{report.done} of {report.todo} documents, {report.waiting} under way"
    rate, eta = report.rate, report.eta_seconds
    if rate is None or eta is None:
        return line
    return f"{line}, {rate:.1f}/s, {timedelta(seconds=round(eta))} left"


def _window(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= _MOST_WINDOW:
        raise argparse.ArgumentTypeError(f"a window is a number from 1 to {_MOST_WINDOW}")
    return int(text)
