"""One stack per folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from kartoteka_local.errors import StackError
from kartoteka_local.home import Home
from kartoteka_local.stack_file import read_stack

__all__ = ["only_one"]


@contextmanager
def only_one(home: Home) -> Iterator[None]:
    """Hold the folder's lock; the kernel frees it with the process, so it never goes stale.

    Raises:
        StackError: another stack runs on this folder, or it cannot be written.
    """
    try:
        home.create()
        file = home.lock.open("a+")
    except OSError as error:
        raise StackError(
            f"{home.root} cannot be written ({error.strerror}). "
            "Set KARTOTEKA_HOME to a folder of yours."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(_taken(home)) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        home.stack_file.unlink(missing_ok=True)  # one that a kill left behind is no longer true
        yield


def _taken(home: Home) -> str:
    pid = home.lock.read_text(encoding="utf-8").strip() or "unknown"
    stack = read_stack(home)
    where = f" and serves {stack.api_url}" if stack else " and is starting or stopping"
    return (
        f"A stack runs on {home.root} already (process {pid}{where}). Use that one, stop it with "
        f"Ctrl-C or `kill {pid}`, or set KARTOTEKA_HOME to another folder."
    )
