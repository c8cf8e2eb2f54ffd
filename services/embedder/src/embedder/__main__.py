"""``python -m embedder``: the worker, its model, reconciliation and rebuild."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from embedder.entrypoints.rebuild_cli import add_rebuild_arguments, rebuild_plan, run_rebuild
from embedder.entrypoints.reconcile_cli import Options, add_arguments, options, run
from embedder.settings import Settings, model_settings
from embedder.usecases.rebuild import RebuildPlan
from kartoteka_runtime.env import SettingsError, variables
from kartoteka_runtime.logs import configure
from kartoteka_runtime.process_end import end_process

__all__ = ["main"]

_ABOUT: Final = """\
Kartoteka's embedder: takes documents from Kafka, parses, chunks and embeds them, writes them to
Qdrant, and serves vectors for queries.

  worker         run one worker, with settings from the environment (below). Run as many as there
                 are cores; those of one WORKER_GROUP share the work. SIGTERM drains it.
  export-model   make the model ready in MODEL_CACHE, so that workers start at once; needs
                 sentence-transformers. A worker does it by itself where it can.
  reconcile      mend what object storage, Qdrant and Kafka do not agree about, once: send again
                 what was lost, remove what is obsolete. See python -m embedder reconcile --help
  rebuild        make index and view anew from object storage alone, after Qdrant's data is lost.
                 See python -m embedder rebuild --help

first steps:
  export KAFKA_BOOTSTRAP_SERVERS=localhost:9092 QDRANT_URL=http://localhost:6333 \\
      OBJECT_STORE_URL=file:///var/lib/kartoteka/objects
  python -m embedder worker
  curl localhost:8081/healthz/ready     # 200, or why not yet
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0: done, or drained. 1: failed, or ended by itself. 2: wrong usage or settings.
    """
    parser = argparse.ArgumentParser(
        prog="python -m embedder",
        description=_ABOUT,
        epilog="settings:\n" + _settings(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("worker", help="run one worker")
    commands.add_parser("export-model", help="make the model ready for workers")
    add_arguments(commands.add_parser("reconcile", help="mend differences between the stores"))
    add_rebuild_arguments(commands.add_parser("rebuild", help="make the index anew"))
    parsed = parser.parse_args(arguments)
    try:
        match parsed.command:
            case "worker":
                return _worker()
            case "reconcile":
                return _reconcile(options(parsed))
            case "rebuild":
                return _rebuild(rebuild_plan(parsed))
            case _:
                return _export_model()
    except SettingsError as error:
        sys.stderr.write(f"{error}\nSee python -m embedder --help\n")
        return 2


def _worker() -> int:
    settings = Settings.load()
    configure(settings.log, service="embedder")
    # Export and help need none of what working imports.
    from embedder.bootstrap import build  # noqa: PLC0415
    from embedder.entrypoints.worker import serve  # noqa: PLC0415

    return asyncio.run(serve(build(settings)))


def _export_model() -> int:
    settings = model_settings()
    from embedder.adapters.inference.exported_model import ExportedModelError  # noqa: PLC0415
    from embedder.adapters.model_export import main as export  # noqa: PLC0415 - imports much

    try:
        export(settings, _say)
    except ExportedModelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _reconcile(asked: Options) -> int:
    settings = Settings.load()
    configure(settings.log, service="reconcile", stream=sys.stderr)
    from embedder.reconcile_bootstrap import reconcile, tell  # noqa: PLC0415 - as above

    return asyncio.run(
        run(
            asked,
            lambda plan, watch: reconcile(settings, plan, watch),
            tell=lambda ended: tell(settings, ended),
        )
    )


def _rebuild(plan: RebuildPlan) -> int:
    settings = Settings.load()
    configure(settings.log, service="rebuild", stream=sys.stderr)
    from embedder.rebuild_bootstrap import rebuild  # noqa: PLC0415 - as above

    return asyncio.run(run_rebuild(plan, lambda plan, watch: rebuild(settings, plan, watch)))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _settings() -> str:
    return "\n".join(
        f"  {name}\n      {' '.join(about.split())}"
        for fragment in Settings.fragments()
        for name, about in variables(fragment).items()
    )


if __name__ == "__main__":
    end_process(main())
