"""The stack's own API key."""

import sys
from pathlib import Path

from kartoteka_local.aside import aside
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
        StackError: the file of the keys is damaged, or no key could be made.
    """
    home, keys = plan.home, Path(plan.env["API_KEYS_FILE"])
    known = _read(keys)
    if known is not None:
        # Before anything waits for an API that would never be ready.
        await _command(plan, keys, "list")
        kept = _read(home.api_key)
        if kept is not None:
            return kept.strip()
    made = await _command(plan, keys, "create", "--name", _NAME, "--all-scopes", "--all-cabinets")
    key = made.strip()
    write_private(home.api_key, f"{key}\n")
    console.say(f"Made an API key; it is kept in {home.api_key}")
    return key


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else None


async def _command(plan: Plan, keys: Path, *arguments: str) -> str:
    ran = await run_command(*(sys.executable, "-m", "ingest_api", "keys", *arguments), env=plan.env)
    if ran.code == 0:
        return ran.output
    lines = "\n".join(f"    | {line}" for line in ran.words)
    raise StackError(
        f"The file of the API keys cannot be used:\n{lines}\n{aside(keys)}\n\n"
        "A new key is made then; keys that were given out must be made anew."
    )
