"""The stack's own API key."""

import sys

from kartoteka_local.command import run_command
from kartoteka_local.console import Console
from kartoteka_local.errors import StackError
from kartoteka_local.plan import Plan
from kartoteka_local.stack_file import write_private

__all__ = ["api_key"]

_NAME = "make-run"


async def api_key(plan: Plan, console: Console) -> str:
    """Return the key in plain text; made by the API's own command, the first time.

    Raises:
        StackError: the command failed.
    """
    home = plan.home
    if home.api_key.exists() and home.api_keys.exists():
        return home.api_key.read_text(encoding="utf-8").strip()
    ran = await run_command(
        *(sys.executable, "-m", "ingest_api", "keys", "create"),
        *("--name", _NAME, "--all-scopes", "--all-cabinets"),
        env=plan.env,
    )
    if ran.code != 0:
        lines = "\n".join(f"    | {line}" for line in ran.words)
        raise StackError(
            f"No API key could be made:\n{lines}\n"
            f"If {home.api_keys} is damaged, move it aside and run the same again."
        )
    key = ran.output.strip()
    write_private(home.api_key, f"{key}\n")
    console.say(f"Made an API key; it is kept in {home.api_key}")
    return key
