"""stack.json: what a ready stack consists of, for scripts."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kartoteka_local.home import Home

__all__ = ["StackFile", "read_stack", "remove_stack", "write_private", "write_stack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFile:
    """The addresses and processes of a stack that is ready."""

    api_url: str
    api_key: str
    kafka: str
    qdrant_url: str
    pids: Mapping[str, int]
    """By name: kafka, qdrant, ingest-api, embedder-1, …; only what the stack started."""
    supervisor_pid: int

    def with_pids(self, pids: Mapping[str, int]) -> "StackFile":
        """Return the same with the processes of now."""
        return dataclasses.replace(self, pids=dict(pids), supervisor_pid=os.getpid())


def write_stack(home: Home, stack: StackFile) -> None:
    """Write or replace the file, whole at every moment, readable by its owner only."""
    text = json.dumps(dataclasses.asdict(stack), indent=2)
    write_private(home.stack_file, f"{text}\n")


def read_stack(home: Home) -> StackFile | None:
    """Return what the file says, or None where there is none."""
    try:
        return StackFile(**json.loads(home.stack_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def remove_stack(home: Home) -> None:
    """Remove the file: the stack is no longer ready."""
    home.stack_file.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file for its owner only, whole at every moment."""
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
