"""A command of a service that runs to its end: provisioning topics, making a key."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kartoteka_local import leash

__all__ = ["Ran", "leashed", "run_command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended."""

    code: int
    output: str
    """Its standard output."""
    errors: str
    """Its standard error."""

    @property
    def words(self) -> tuple[str, ...]:
        """Its last lines."""
        return tuple(line for line in (self.output + self.errors).splitlines() if line)[-12:]


def leashed(*argv: str) -> tuple[str, ...]:
    """Return the command that runs another one tied to this process."""
    return (sys.executable, "-I", "-S", str(Path(leash.__file__)), "exec", str(os.getpid()), *argv)


async def run_command(*argv: str, env: Mapping[str, str]) -> Ran:
    """Run to the end; a cancelled call kills it."""
    process = await asyncio.create_subprocess_exec(
        *leashed(*argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        start_new_session=True,
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return Ran(
        code=process.returncode or 0,
        output=output.decode(errors="replace"),
        errors=errors.decode(errors="replace"),
    )
