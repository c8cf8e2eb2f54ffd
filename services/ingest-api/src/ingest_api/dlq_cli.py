"""``python -m ingest_api dlq``: list, show, replay and discard dead letters."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from ingest_api.adapters.dead_letter_client import ApiError, DeadLetterClient
from ingest_api.domain.dead_letter import LetterId
from ingest_api.letter_tables import letter_table, result_table, shown_letter
from ingest_api.settings import CallerSettings

__all__ = ["add_commands", "run"]

_ABOUT: Final = """\
Dead letters are work that failed for good: each keeps the record, the reason and the origin for
30 days. Find out why they failed, then replay them, each as a new task, or discard them.
"""
_EXAMPLES: Final = """\
examples:
  # what failed, and why
  python -m ingest_api dlq list
  python -m ingest_api dlq list --cabinet 1 --reason retries_exhausted --newer-than 12h
  python -m ingest_api dlq show 3-17

  # replay: first see what it would do, then do it
  python -m ingest_api dlq replay 3-17 3-18
  python -m ingest_api dlq replay --reason embedding_failed --yes
  # what was replayed three times already is left alone, unless you insist
  python -m ingest_api dlq replay 3-17 --max-replays 5 --yes

  # discard what nobody needs
  python -m ingest_api dlq discard --reason malformed --older-than 7d --yes

  # for programs
  python -m ingest_api dlq list --resolved all --json

The API is --url, else API_URL, else the local stack that runs here. The key needs the scope
`admin`; it is read from --key-file, else from API_KEY, else it is that of the local stack. It is
never an argument, which other users of the machine could see.

exit status: 0 all is done, 1 something was refused or nobody answers, 2 wrong usage
"""
_DEFAULT_URL: Final = "http://127.0.0.1:8080"
_BATCH: Final = 100
_DIGITS: Final = 9


class _UsageError(Exception):
    """What was asked for cannot be meant."""


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the parser of ``dlq``."""
    parser.description = _ABOUT
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--url", help="base URL of the API")
    where.add_argument("--key-file", type=Path, help="a file that holds nothing but the API key")
    where.add_argument("--json", action="store_true", help="print JSON")
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--cabinet", metavar="ID", help="only of this cabinet")
    which.add_argument("--reason", metavar="CODE", help="only with this error code")
    which.add_argument("--older-than", metavar="AGE", help="90s, 30m, 12h, 7d, or a time")
    which.add_argument("--newer-than", metavar="AGE", help="likewise")
    which.add_argument("--limit", metavar="N", type=_count, help="letters at most; all otherwise")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = _command(commands, "list", "show a table of dead letters", where, which)
    listing.add_argument(
        "--resolved",
        choices=["false", "true", "all"],
        default="false",
        help="those that nobody has dealt with (default), the others, or all",
    )
    show = _command(commands, "show", "show one dead letter with its raw record", where)
    show.add_argument("id", type=_letter_id, help="as in `dlq list`")
    replay = _command(commands, "replay", "try the work again, as new tasks", where, which)
    replay.add_argument(
        "--max-replays",
        metavar="N",
        type=_count,
        help="leave alone what was replayed as often (default: the API's, 3)",
    )
    discard = _command(commands, "discard", "mark letters as of no further use", where, which)
    for resolving in (replay, discard):
        resolving.add_argument("id", nargs="*", type=_letter_id, help="as in `dlq list`")
        resolving.add_argument(
            "--all", action="store_true", help="all letters that nobody has dealt with"
        )
        mode = resolving.add_mutually_exclusive_group()
        mode.add_argument("--dry-run", action="store_true", help="only say what it would do")
        mode.add_argument("--yes", action="store_true", help="do it; without it, it is a dry run")


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    about: str,
    *parents: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=about,
        parents=list(parents),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(arguments: argparse.Namespace, settings: CallerSettings) -> int:
    """Do what was asked; returns the exit status."""
    try:
        url, key = _whom(arguments, settings)
        with DeadLetterClient(url, key) as client:
            return _do(arguments, client)
    except _UsageError as error:
        sys.stderr.write(f"{error}\nSee python -m ingest_api dlq --help\n")
        return 2
    except ApiError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _do(arguments: argparse.Namespace, client: DeadLetterClient) -> int:
    match arguments.command:
        case "list":
            letters = list(client.letters(_query(arguments), most=arguments.limit))
            _print({"letters": letters} if arguments.json else letter_table(letters))
            return 0
        case "show":
            letter = client.letter(arguments.id)
            _print(letter if arguments.json else shown_letter(letter))
            return 0
        case "replay":
            more = {} if arguments.max_replays is None else {"max_replays": arguments.max_replays}
            return _resolve(arguments, client, "replay", more)
        case _:
            return _resolve(arguments, client, "discard", {})


def _resolve(
    arguments: argparse.Namespace,
    client: DeadLetterClient,
    action: Literal["replay", "discard"],
    options: Mapping[str, int],
) -> int:
    is_dry = not arguments.yes
    ids = _chosen(arguments, client)
    results: list[dict[str, Any]] = []
    trouble: ApiError | None = None
    for first in range(0, len(ids), _BATCH):
        some = ids[first : first + _BATCH]
        try:
            results += client.resolve(action, some, is_dry=is_dry, **options)["results"]
        except ApiError as error:
            trouble = error  # what was done before is shown all the same
            break
        if len(ids) > _BATCH:
            sys.stderr.write(f"{len(results)} of {len(ids)}\n")
    failed = sum(result["error"] is not None for result in results)
    counts = {"letters": len(results), "done": len(results) - failed, "failed": failed}
    if arguments.json:
        _print({"dry_run": is_dry, "counts": counts, "results": results})
    else:
        _print(result_table(results))
        sys.stderr.write(_summary(action, counts, is_dry=is_dry) if trouble is None else "")
    if trouble is not None:
        raise trouble
    return 1 if failed else 0


def _chosen(arguments: argparse.Namespace, client: DeadLetterClient) -> list[str]:
    """Return the ids that were given, else those that the filters find."""
    query = _query(arguments)
    if arguments.id:
        if query or arguments.all:
            raise _UsageError("give either ids, or filters, or --all")
        return list(arguments.id)
    if not query and not arguments.all:
        raise _UsageError("say which letters: ids, filters such as --reason, or --all")
    return [letter["id"] for letter in client.letters(query, most=arguments.limit)]


def _query(arguments: argparse.Namespace) -> dict[str, str]:
    given = {
        "cabinet_id": arguments.cabinet,
        "reason": arguments.reason,
        "older_than": arguments.older_than,
        "newer_than": arguments.newer_than,
        "resolved": getattr(arguments, "resolved", None),
    }
    return {name: value for name, value in given.items() if value is not None}


def _summary(action: str, counts: Mapping[str, int], *, is_dry: bool) -> str:
    done = {"replay": "replayed", "discard": "discarded"}[action]
    if not counts["letters"]:
        return "There are no such letters.\n"
    if is_dry:
        advice = " Add --yes to do it." if counts["done"] else ""
        refused = f", {counts['failed']} would be refused" if counts["failed"] else ""
        return f"Dry run: {counts['done']} would be {done}{refused}.{advice}\n"
    refused = f", {counts['failed']} refused" if counts["failed"] else ""
    return f"{counts['done']} {done}{refused}.\n"


def _whom(arguments: argparse.Namespace, settings: CallerSettings) -> tuple[str, str]:
    """Return the API's address and the key. The local stack's key goes to the local stack only."""
    stack = _local_stack(settings.kartoteka_home / "stack.json")
    url = arguments.url or settings.api_url or stack.get("api_url") or _DEFAULT_URL
    if not url.startswith(("http://", "https://")):
        raise _UsageError("--url must begin with http:// or https://")
    if arguments.key_file is not None:
        try:
            return url, _key(arguments.key_file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise _UsageError(f"{arguments.key_file} cannot be read: {error}") from error
    if settings.api_key is not None:
        return url, _key(settings.api_key.get_secret_value())
    if url.rstrip("/") == stack.get("api_url", "").rstrip("/"):
        return url, _key(stack["api_key"])
    raise _UsageError("there is no API key: set API_KEY, or give --key-file")


def _local_stack(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text("utf-8"))
        return {name: str(found[name]) for name in ("api_url", "api_key")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _key(text: str) -> str:
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise _UsageError("the API key is none; see `python -m ingest_api keys create`")
    return key


def _print(what: str | Mapping[str, Any]) -> None:
    text = what if isinstance(what, str) else json.dumps(what, indent=2) + "\n"
    sys.stdout.write(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= _DIGITS and int(text) > 0):
        raise argparse.ArgumentTypeError("a number of 1 or more is needed")
    return int(text)


def _letter_id(text: str) -> str:
    if LetterId.parse(text) is None:
        raise argparse.ArgumentTypeError("a letter's id is PARTITION-OFFSET, such as 3-17")
    return text
