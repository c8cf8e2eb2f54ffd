"""``python -m kartoteka_local run``: the embedded stack."""

import argparse
import asyncio
import errno
import signal
import sys
from collections.abc import Sequence

from kartoteka_local.console import Console
from kartoteka_local.disk import require_space
from kartoteka_local.errors import StackError
from kartoteka_local.home import Home
from kartoteka_local.lock import only_one
from kartoteka_local.logs import rotate
from kartoteka_local.plan import make_plan
from kartoteka_local.samples import SAMPLES, Samples
from kartoteka_local.settings import Settings
from kartoteka_local.stack import Stack
from kartoteka_local.stop import patience
from kartoteka_local.tour import Tour
from kartoteka_local.watcher import Watcher
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.env import SettingsError, variables

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stack until Ctrl-C or SIGTERM. Returns 0 then, 1 when it could not go on."""
    parser = argparse.ArgumentParser(
        prog="python -m kartoteka_local",
        description=__doc__,
        epilog="Settings:\n" + _settings(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("run",), help="start everything and stay up")
    parser.parse_args(arguments)
    console = Console()
    # Before there is anything to drain, a SIGTERM ends the start as a Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = Settings.load()
        home = Home(root=settings.stack.home.expanduser().resolve())
        with only_one(home):
            return _run(settings, home, console)
    except (StackError, SettingsError) as error:
        console.error(str(error))
        return 1
    except OSError as error:
        console.error(f"The stack cannot go on: {error}. {_advice(error)}")
        return 1
    except KeyboardInterrupt:
        console.error("Interrupted before anything was started.")
        return 130


def _run(settings: Settings, home: Home, console: Console) -> int:
    require_space(home.root, settings.stack.min_free_bytes)
    plan = make_plan(settings, home)
    rotate(home)
    if plan.broker is not None:
        plan.broker.prepare()
    if settings.real.object_store_url is None:
        home.objects.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = [program.name for program in (plan.kafka, plan.qdrant, plan.api) if program]
    console.say(f"Starting {', '.join(names)} and {len(plan.embedders)} embedder(s) …")
    samples = Samples(folder=SAMPLES, cabinet=settings.stack.samples_cabinet, clock=SystemClock())
    tour = Tour(
        home=home,
        console=console,
        samples=samples if settings.stack.samples else None,
        cabinet=settings.stack.samples_cabinet,
    )

    async def serve() -> None:
        with Watcher() as watcher:
            stack = Stack(
                plan, settings.stack, console=console, clock=SystemClock(), watcher=watcher
            )
            async with patience(console, out_of=stack.kill) as stop:
                await stack.run(stop, tour.show)

    asyncio.run(serve())
    console.say("Everything is stopped; the data stays in " + str(home.root))
    return 0


def _advice(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "Free some space, then run the same again: what was accepted is kept."
    return "Check KARTOTEKA_HOME: it must be a folder that you may write to."


def _settings() -> str:
    return "\n".join(
        f"  {name}\n      {' '.join(about.split())}"
        for fragment in Settings.fragments()
        for name, about in variables(fragment).items()
    )


if __name__ == "__main__":
    sys.exit(main())
