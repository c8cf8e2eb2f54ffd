"""What the commands take, and how they explain themselves."""

import argparse
from pathlib import Path
from typing import Final

from kartoteka_contracts.ids import MAX_EXACT_INTEGER, CabinetId
from kartoteka_contracts.reindex import ReindexMode
from scheduler.settings import ReindexSettings
from scheduler.usecases.reindex import Wanted

__all__ = ["make_parser", "wanted"]

_ABOUT: Final = """\
Kartoteka's scheduler: asks for the runs that compare cabinets with their sources. It sends one
event for each cabinet to the topic cabinets.reindex; the embedders do the work.

  tick       ask for what became due since the last tick, once. For a CronJob, every 5 minutes
  loop       tick every minute until SIGTERM. For a machine without CronJobs
  reindex    ask for runs now, whatever the schedules say

Each has its own --help.
"""

_EXIT: Final = """\
exit status:
  0  done: also where nothing was due, or another scheduler holds the Lease
  1  Kafka or the cluster is away, the Lease was lost, or a signal came: try again, the next tick
     completes what this one began
  2  wrong usage, or a wrong setting: trying again does not help
"""

_TICK: Final = """\
Ask for the runs that became due since the last tick, then remember up to when that is done.

A cabinet is due at the times of its schedule (cron and time zone; without settings every six
hours in UTC, at minute 0), counted from when it was first configured or first uploaded to. Its run
is asked for up to 30 minutes later, always by the same, so that 100000 cabinets do not begin in
one second. Of slots that were missed, say because nothing ran for a day, only the last is asked
for. A cabinet with `enabled: false` is never due.

It is safe to run twice, at once, or to kill: a run's id is derived from cabinet and slot, so the
same slot is one run, however often it is asked for. The very first tick only remembers the time.

In a cluster it takes the Lease SCHEDULER_LEASE_NAME, so that one scheduler works at a time, and
records an Event about it (kubectl describe lease kartoteka-scheduler). Its service account needs
get, create and update on leases of coordination.k8s.io, and create on events.
"""

_TICK_EXAMPLES: Final = """\
examples:
  python -m scheduler tick | jq .emitted
  python -m scheduler tick --metrics-file /var/lib/node-exporter/kartoteka-scheduler.prom

output: one JSON object on stdout: ok, cabinets (there are), due, emitted, seconds, watermark (up to
when all slots are emitted), held_elsewhere. Logs go to stderr.

"""

_LOOP: Final = """\
Tick again and again, until SIGTERM or Ctrl-C. While Kafka or the cluster is away it says so in the
log and goes on; what was due meanwhile is asked for afterwards. See tick for what a tick does.
"""

_LOOP_EXAMPLES: Final = """\
examples:
  python -m scheduler loop
  python -m scheduler loop --every 300 --metrics-file /var/lib/node-exporter/kartoteka.prom

output: one JSON object of the last tick, on stdout, at the end. Logs go to stderr.

"""

_REINDEX: Final = """\
Ask for runs now, of given cabinets or of all that are enabled. A run that is under way already is
joined. No schedule is changed by it.

Where no option says it, the environment does: SCHEDULER_REINDEX_CABINETS (7,8), _MODE and
_CONFIRM_VANISHED. That is for Jobs, whose arguments are those of the CronJob they are made from.

modes:
  changed  index what is new, changed, or made with older settings; remove what vanished
  full     index everything again but what failed
  failed   try again what failed, and nothing else
"""

_REINDEX_EXAMPLES: Final = """\
examples:
  # one cabinet; then follow its task
  python -m scheduler reindex --cabinet 7 | jq -r '.runs["7"]'

  # two cabinets, every document anew
  python -m scheduler reindex --cabinet 7 --cabinet 8 --mode full

  # all enabled cabinets: what failed
  python -m scheduler reindex --mode failed

  # a run ended as vanish_guard, and the documents are really gone
  python -m scheduler reindex --cabinet 7 --confirm-vanished

  # the same from a Job made of a CronJob
  SCHEDULER_REINDEX_CABINETS=7 SCHEDULER_REINDEX_CONFIRM_VANISHED=true python -m scheduler reindex

output: one JSON object on stdout: ok, cabinets, due, emitted, seconds, and of named cabinets runs
(task ids by cabinet). Logs go to stderr.

"""

_LONGEST: Final = 24 * 3600.0


def make_parser(settings: str) -> argparse.ArgumentParser:
    """Return the parser; ``settings`` is the text about environment variables."""
    parser = argparse.ArgumentParser(
        prog="python -m scheduler",
        description=_ABOUT,
        epilog=f"{_EXIT}\nsettings:\n{settings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _command(commands, "tick", "ask for what became due, once", _TICK, _TICK_EXAMPLES)
    loop = _command(commands, "loop", "tick until it is stopped", _LOOP, _LOOP_EXAMPLES)
    loop.add_argument(
        "--every",
        metavar="SECONDS",
        type=_seconds,
        default=60.0,
        help="from the begin of one tick to the next (default: %(default)g)",
    )
    reindex = _command(commands, "reindex", "ask for runs now", _REINDEX, _REINDEX_EXAMPLES)
    reindex.add_argument(
        "--cabinet",
        metavar="N",
        type=_cabinet,
        action="append",
        default=[],
        help="this cabinet, enabled or not; may be repeated (default: SCHEDULER_REINDEX_CABINETS, "
        "else all that are enabled)",
    )
    reindex.add_argument(
        "--mode",
        choices=[str(mode) for mode in ReindexMode],
        help="which documents (default: SCHEDULER_REINDEX_MODE, else changed)",
    )
    reindex.add_argument(
        "--confirm-vanished",
        action="store_true",
        help="remove vanished documents even where they are suspiciously many; needs --cabinet",
    )
    return parser


def wanted(
    parser: argparse.ArgumentParser, parsed: argparse.Namespace, settings: ReindexSettings
) -> Wanted:
    """Return what ``reindex`` is to do; ends the process with 2 where that makes no sense.

    Args:
        parser: says what is wrong.
        parsed: the options, which win.
        settings: what they leave open.
    """
    cabinets = tuple(parsed.cabinet) or settings.cabinets
    is_confirmed = parsed.confirm_vanished or settings.confirm_vanished
    if is_confirmed and not cabinets:
        parser.error(
            "--confirm-vanished needs --cabinet (in a Job: SCHEDULER_REINDEX_CABINETS): "
            "name the cabinets that you looked at"
        )
    return Wanted(
        cabinets=cabinets,
        mode=settings.mode if parsed.mode is None else ReindexMode(parsed.mode),
        is_vanishing_confirmed=is_confirmed,
    )


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    about: str,
    examples: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=about,
        epilog=examples + _EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--metrics-file",
        metavar="FILE",
        type=Path,
        help="write the figures there, as Prometheus reads them; replaced in one step",
    )
    return parser


def _cabinet(text: str) -> CabinetId:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= MAX_EXACT_INTEGER:
        raise argparse.ArgumentTypeError("a cabinet is a positive integer")
    return CabinetId(int(text))


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 1 <= value <= _LONGEST:
        raise argparse.ArgumentTypeError("seconds are a number from 1 to 86400")
    return value
