"""``python -m ingest_api keys``: make, list and revoke API keys."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from ingest_api.adapters.key_file import KeyFileError, create_key, read_keys, revoke_key
from ingest_api.domain.access import Scope
from ingest_api.domain.submission import cabinet_id_of
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import CabinetId

__all__ = ["add_commands", "run"]

_EXAMPLES = """\
examples:
  # a key that uploads to and searches cabinets 1 and 2
  python -m ingest_api keys create --name shop --scope ingest --scope search --scope read \\
      --cabinet 1 --cabinet 2
  # a key for everything
  python -m ingest_api keys create --name ops --all-scopes --all-cabinets
  python -m ingest_api keys list
  python -m ingest_api keys revoke ab2cd3ef4g

The file is the one that API_KEYS_FILE names, as for the service, or --file.
A running service takes a change up within a second. The key itself is shown once and stored
nowhere; only its SHA-256 is kept.
"""


def _cabinet(text: str) -> CabinetId:
    try:
        return cabinet_id_of(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def add_commands(parser: argparse.ArgumentParser, keys_file: Path | None) -> None:
    """Add ``create``, ``list`` and ``revoke`` to the parser of ``keys``."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--file",
        type=Path,
        default=keys_file,
        help="the key file; left out: the one that API_KEYS_FILE names",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    create = commands.add_parser("create", parents=[where], help="make a key and print it once")
    create.add_argument("--name", required=True, help="what the key is for, for people")
    scopes = create.add_mutually_exclusive_group(required=True)
    scopes.add_argument(
        "--scope",
        action="append",
        choices=[scope.value for scope in Scope],
        metavar="SCOPE",
        help=f"what it may do: {', '.join(Scope)}; repeatable",
    )
    scopes.add_argument("--all-scopes", action="store_true", help="everything")
    cabinets = create.add_mutually_exclusive_group(required=True)
    cabinets.add_argument(
        "--cabinet", action="append", type=_cabinet, metavar="ID", help="where; repeatable"
    )
    cabinets.add_argument(
        "--all-cabinets", action="store_true", help="everywhere, also in cabinets to come"
    )
    commands.add_parser("list", parents=[where], help="show all keys, without their secrets")
    revoke = commands.add_parser("revoke", parents=[where], help="make a key worthless")
    revoke.add_argument("id", help="the key's id, as in `keys list`")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked; returns the exit status."""
    if arguments.file is None:
        sys.stderr.write(
            "Which key file? Name it with --file, or set API_KEYS_FILE as for the service:\n"
            "  export API_KEYS_FILE=keys.json\n"
        )
        return 2
    try:
        match arguments.command:
            case "create":
                _create(arguments)
            case "list":
                _list(arguments.file)
            case _:
                return _revoke(arguments.file, arguments.id)
    except KeyFileError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _create(arguments: argparse.Namespace) -> None:
    key = create_key(
        arguments.file,
        name=arguments.name,
        scopes=list(Scope if arguments.all_scopes else map(Scope, arguments.scope)),
        cabinets=None if arguments.all_cabinets else arguments.cabinet,
        now=datetime.now(UTC),
    )
    sys.stdout.write(f"{key.text}\n")
    sys.stderr.write(f"Key {key.key_id} is in {arguments.file}. It is not shown again.\n")


def _list(path: Path) -> None:
    rows = [("ID", "NAME", "SCOPES", "CABINETS", "CREATED", "REVOKED")]
    for entry in read_keys(path):
        cabinets = "*" if entry.cabinets == "*" else ",".join(map(str, entry.cabinets))
        revoked = "" if entry.revoked_at is None else f"{entry.revoked_at:%Y-%m-%d %H:%M}"
        created = f"{entry.created_at:%Y-%m-%d %H:%M}"
        rows.append((entry.id, entry.name, ",".join(entry.scopes), cabinets, created, revoked))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _revoke(path: Path, key_id: str) -> int:
    if revoke_key(path, key_id, now=datetime.now(UTC)):
        sys.stdout.write(f"Key {key_id} is revoked.\n")
        return 0
    sys.stderr.write(f"There is no key {key_id} in force; see `keys list`.\n")
    return 1
