"""``python -m ingest_api``: the service and its keys."""

import argparse
import sys
from collections.abc import Sequence

import uvloop

from ingest_api import dlq_cli, keys_cli
from ingest_api.settings import CallerSettings, Settings, keys_file
from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.env import SettingsError, variables
from kartoteka_runtime.process_end import end_process

_ABOUT = """\
Kartoteka's HTTP API: uploads, task status, search.

  serve   run the service, with settings from the environment (below)
  keys    make, list and revoke API keys
  dlq     list, show, replay and discard dead letters, by asking a running API

first steps:
  export API_KEYS_FILE=keys.json OBJECT_STORE_URL=file:///var/lib/kartoteka/objects \\
      KAFKA_BOOTSTRAP_SERVERS=localhost:9092 QDRANT_URL=http://localhost:6333 \\
      EMBEDDINGS_URLS=http://localhost:8081 VIEW_PATH=/var/lib/kartoteka/view
  python -m ingest_api keys create --name me --all-scopes --all-cabinets
  python -m ingest_api serve
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 (failed) or 2 (wrong usage or settings)."""
    parser = argparse.ArgumentParser(
        prog="python -m ingest_api",
        description=_ABOUT,
        epilog="settings:\n" + _settings(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="part", required=True, metavar="serve|keys|dlq")
    commands.add_parser("serve", help="run the service")
    keys_cli.add_commands(commands.add_parser("keys", help="API keys"), keys_file())
    dlq_cli.add_commands(commands.add_parser("dlq", help="dead letters"))
    parsed = parser.parse_args(arguments)
    if parsed.part == "keys":
        return keys_cli.run(parsed)
    if parsed.part == "dlq":
        return _dlq(parsed)
    return _serve()


def _dlq(parsed: argparse.Namespace) -> int:
    try:
        settings = CallerSettings.load()
    except SettingsError as error:
        sys.stderr.write(f"{error}\nSee python -m ingest_api dlq --help\n")
        return 2
    return dlq_cli.run(parsed, settings)


def _serve() -> int:
    try:
        settings = Settings.load()
    except SettingsError as error:
        sys.stderr.write(f"{error}\nSee python -m ingest_api --help\n")
        return 2
    # The keys commands need none of what serving imports.
    from ingest_api.serve import serve  # noqa: PLC0415

    try:
        uvloop.run(serve(settings))
    except (KartotekaError, OSError) as error:
        sys.stderr.write(f"ingest-api cannot go on: {error}\n")
        return 1
    return 0


def _settings() -> str:
    return "\n".join(
        f"  {name}\n      {' '.join(about.split())}"
        for fragment in Settings.fragments()
        for name, about in variables(fragment).items()
    )


if __name__ == "__main__":
    end_process(main())
