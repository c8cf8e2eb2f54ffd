"""``python -m embedder reconcile``: what it takes, and what it prints."""

import argparse
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TextIO

from embedder.usecases.reconcile import Plan, Watch
from embedder.usecases.reconcile_report import Report, Seen
from embedder.usecases.reconcile_rules import Ages
from kartoteka_contracts.errors import KartotekaError
from kartoteka_contracts.ids import MAX_EXACT_INTEGER, CabinetId
from kartoteka_contracts.operations import ReconcileEnded
from kartoteka_runtime.metrics import Metrics

__all__ = ["Options", "add_arguments", "cabinet_number", "options", "run", "seconds"]

_DONE: Final = 0
_FAILED: Final = 1
_PROGRESS_SECONDS: Final = 2.0
_MOST_SECONDS: Final = 10 * 365 * 24 * 3600.0

_ABOUT: Final = """\
Hold what was asked for (records in object storage) against what was decided (manifests in Qdrant)
and what is under way (Kafka), and mend the difference:

  lost work     a document, delete or cancellation whose event is in no topic, be it that a process
                died before sending it or that Kafka lost its data: the event is sent again, with
                the same ids, to documents.bulk
  orphans       chunks that no manifest publishes and nobody can complete, bodies that no record
                names: removed
  runs          a reindex run that nobody drives any more: its next step is sent
  settings      a cabinet's that are new are told again; those that they replaced go after 45 days
  old things    records that newer ones replaced, and what is left of deleted documents, after 45
                days; what Idempotency-Keys stood for, after 24 hours; marks of what is decided;
                what reindex runs have kept, a week after their end

What is published is never touched. It is safe beside a running system, beside itself, and when it
is killed: whatever it leaves undone, the next run finds. Run it every hour, and after Kafka lost
data. Its settings are a worker's; it loads no model.
"""

_EXAMPLES: Final = """\
examples:
  # what would it do?
  python -m embedder reconcile --dry-run

  # after Kafka came back empty: make the topics, then send everything that is undone; rebuild
  # does that, too, and tells every cabinet's settings again
  kartoteka-topics provision && python -m embedder reconcile --grace 0

  # one cabinet, figures for programs
  python -m embedder reconcile --cabinet 7 | jq .mended

  # every hour, figures for Prometheus' node exporter
  python -m embedder reconcile --metrics-file /var/lib/node-exporter/kartoteka-reconcile.prom

output: one JSON object, last on stdout; a table and the progress on stderr, where that is a
terminal. `seen` is what was looked at, `mended` what was done (of a dry run: `not_done`), `left`
what was left alone for this time.

exit status:
  0  done: there was nothing to mend, or it is mended
  1  failed: a store or Kafka is away; what is done by then is done, and in the figures
  2  wrong usage, or a wrong setting
"""

_HEADINGS: Final = {
    "seen": "looked at",
    "mended": "mended",
    "not_done": "to mend (dry run: nothing was done)",
    "left": "left alone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for."""

    plan: Plan
    metrics_file: Path | None = None


Reconciliation = Callable[[Plan, Watch], Awaitable[Report]]
Tell = Callable[[ReconcileEnded], Awaitable[None]]
"""Leaves the end where it can be looked at later; never raises."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of ``reconcile``."""
    ages = Ages()
    parser.description = _ABOUT
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--cabinet", metavar="N", type=cabinet_number, help="look at this cabinet only"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="change nothing; count what would be changed"
    )
    parser.add_argument(
        "--grace",
        metavar="SECONDS",
        type=seconds,
        default=ages.grace.total_seconds(),
        help="age of a record before its event counts as lost; it must also be older than every "
        "event that is not processed (default: %(default)g)",
    )
    parser.add_argument(
        "--orphan-age",
        metavar="SECONDS",
        type=seconds,
        default=ages.orphan.total_seconds(),
        help="age of a work before its unpublished chunks are removed (default: %(default)g)",
    )
    parser.add_argument(
        "--rate",
        metavar="N",
        type=_rate,
        default=Plan().rate,
        help="changes a second at most (default: %(default)g)",
    )
    parser.add_argument(
        "--metrics-file",
        metavar="FILE",
        type=Path,
        help="write the figures there, as Prometheus reads them; replaced in one step",
    )


def options(parsed: argparse.Namespace) -> Options:
    """Return what the arguments ask for."""
    return Options(
        plan=Plan(
            cabinet=parsed.cabinet,
            is_dry=parsed.dry_run,
            ages=Ages(
                grace=timedelta(seconds=parsed.grace), orphan=timedelta(seconds=parsed.orphan_age)
            ),
            rate=parsed.rate,
        ),
        metrics_file=parsed.metrics_file,
    )


async def run(
    asked: Options,
    reconcile: Reconciliation,
    *,
    tell: Tell | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Reconcile, print and tell; return the exit status."""
    out, err = out or sys.stdout, err or sys.stderr
    progress = _Progress(err)
    status = _DONE
    try:
        await reconcile(asked.plan, progress)
    except (KartotekaError, OSError) as error:  # the latter: a TLS file that cannot be read
        status = _FAILED
        progress.clear()
        err.write(f"{error}\n")
    report = progress.report
    summary = {"ok": status == _DONE, **report.as_json()}
    progress.clear()
    if err.isatty():
        err.write(table(summary))
    out.write(json.dumps(summary) + "\n")
    out.flush()
    # Neither a look nor a mend of one cabinet is a reconciliation that anybody relies on.
    if tell is not None and not asked.plan.is_dry and asked.plan.cabinet is None:
        await tell(report.ended(is_ok=status == _DONE))
    if asked.metrics_file is not None:
        try:
            _write_metrics(asked.metrics_file, report, is_done=status == _DONE)
        except OSError as error:
            err.write(f"the metrics file cannot be written: {error}\n")
            status = _FAILED
    return status


def table(summary: Mapping[str, Any]) -> str:
    """Return a summary for people."""
    lines = []
    for section, heading in _HEADINGS.items():
        counts = {kind: count for kind, count in summary[section].items() if count}
        if not counts and section in {"not_done", "left"}:
            continue
        lines.append(f"{heading}:" + ("" if counts else " nothing"))
        lines += [f"  {count:>10}  {kind.replace('_', ' ')}" for kind, count in counts.items()]
    lines.append(f"in {summary['seconds']:.1f} s" + ("" if summary["ok"] else ", then it failed"))
    return "\n".join(lines) + "\n"


class _Progress:
    """One line that changes, on a terminal; the last figures, anywhere."""

    def __init__(self, err: TextIO) -> None:
        self.report = Report()
        self._err = err
        self._is_shown = err.isatty()
        self._said_at = time.monotonic()
        self._is_dirty = False

    def __call__(self, report: Report) -> None:
        self.report = report
        now = time.monotonic()
        if not self._is_shown or now - self._said_at < _PROGRESS_SECONDS:
            return
        self._said_at, self._is_dirty = now, True
        seen = report.seen
        done = sum((report.not_done if report.is_dry else report.mended).values())
        self._err.write(
            f"\r\x1b[Kcabinet {seen[Seen.CABINETS]} of {report.cabinets_total}: "
            f"{seen[Seen.DOCUMENTS]} documents, {seen[Seen.CHUNKS]} chunks seen, {done} mended"
        )
        self._err.flush()

    def clear(self) -> None:
        if self._is_dirty:
            self._err.write("\r\x1b[K")
            self._is_dirty = False


def _write_metrics(path: Path, report: Report, *, is_done: bool) -> None:
    metrics = Metrics()
    summary = report.as_json()
    about = {
        "seen": "Things that the last reconciliation looked at",
        "mended": "Differences that the last reconciliation mended",
        "not_done": "Differences that the last reconciliation, a dry run, would have mended",
        "left": "Differences that the last reconciliation left alone",
    }
    for section, meaning in about.items():
        gauge = metrics.gauge(f"reconcile_{section}", meaning, ["kind"])
        for kind, count in summary[section].items():
            gauge.labels(kind).set(count)
    metrics.gauge("reconcile_seconds", "How long the last reconciliation took").set(report.seconds)
    metrics.gauge("reconcile_ok", "Whether the last reconciliation came to its end").set(is_done)
    metrics.gauge(
        "reconcile_ended_timestamp_seconds", "When the last reconciliation ended"
    ).set_to_current_time()
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(metrics.render()[0])
    partial.replace(path)


def cabinet_number(text: str) -> CabinetId:
    """Read a cabinet; for argparse."""
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= MAX_EXACT_INTEGER:
        raise argparse.ArgumentTypeError("a cabinet is a positive integer")
    return CabinetId(int(text))


def seconds(text: str) -> float:
    """Read seconds; for argparse."""
    value = _number(text)
    if not 0 <= value <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError("seconds are a number from 0 to ten years")
    return value


def _rate(text: str) -> float:
    value = _number(text)
    if not 0.01 <= value <= 1e6:  # noqa: PLR2004 - the words beside it
        raise argparse.ArgumentTypeError("a rate is a number from 0.01 to 1000000")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
