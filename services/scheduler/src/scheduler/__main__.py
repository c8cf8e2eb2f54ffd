"""``python -m scheduler``: ticks, and runs by hand."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from kartoteka_runtime.env import SettingsError, variables
from kartoteka_runtime.logs import configure
from kartoteka_runtime.process_end import end_process
from scheduler.bootstrap import reindexing, ticking
from scheduler.entrypoints import command
from scheduler.entrypoints.arguments import make_parser, wanted
from scheduler.entrypoints.command import Report
from scheduler.settings import Settings

__all__ = ["main"]

_WRONG: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0: done. 1: something is away, try again. 2: wrong usage or settings.
    """
    parser = make_parser(_settings())
    parsed = parser.parse_args(arguments)
    try:
        return _run(parser, parsed)
    except SettingsError as error:
        sys.stderr.write(f"{error}\nSee python -m scheduler --help\n")
        return _WRONG


def _run(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    report = Report(parsed.metrics_file)
    settings = Settings.load()
    configure(settings.log, service="scheduler", stream=sys.stderr)
    if parsed.command == "reindex":
        asked = wanted(parser, parsed, settings.reindex)
        return asyncio.run(command.reindex(reindexing(settings), asked, report))
    if parsed.command == "tick":
        return asyncio.run(command.tick(ticking(settings), report))
    limit = settings.scheduler.tick_limit
    return asyncio.run(command.loop(ticking(settings), report, every=parsed.every, limit=limit))


def _settings() -> str:
    return "\n".join(
        f"  {name}\n      {' '.join(about.split())}"
        for fragment in Settings.fragments()
        for name, about in variables(fragment).items()
    )


if __name__ == "__main__":
    end_process(main())
