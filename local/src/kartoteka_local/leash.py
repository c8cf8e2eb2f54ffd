"""Ties children to the supervisor, so that its sudden end leaves nothing behind.

Standard library only, and run by path: it stands between the supervisor and every child.

``leash.py exec COMMAND...`` becomes the command, which the kernel kills when the supervisor ends
(Linux). ``leash.py watch`` reads ``+PID`` and ``-PID`` lines and kills the process groups named
when its input ends, which it does with the supervisor: so grandchildren go too, on any system.
"""

import contextlib
import ctypes
import os
import signal
import sys

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Do one of the two."""
    mode, *rest = arguments
    if mode == "exec":
        _tie_to(int(rest[0]))
        os.execvp(rest[1], rest[1:])  # noqa: S606 - fixed argument lists, no shell
    _watch()
    return 0


def _tie_to(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before the tie was made
        sys.exit(1)


def _watch() -> None:
    # A Ctrl-C at the terminal is the supervisor's to handle, and so is its SIGTERM.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line.startswith("+"):
            groups.add(pid)
        else:
            groups.discard(pid)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
