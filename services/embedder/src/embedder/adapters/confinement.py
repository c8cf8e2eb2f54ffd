"""What a parser process gives up before it opens a body, for the rest of its life.

Linux only: address space, file sizes, descriptors and cores are limited, new privileges refused,
and the kernel ends the process with its parent. Where seccomp is there, sockets, io_uring, other
programs, and more processes or threads are refused too.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct
from typing import Final

__all__ = ["confine", "grant_cpu"]

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2

_MAX_FILES: Final = 64

_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_NOT_BELOW: Final = 0x35
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | 1  # EPERM
_KILL: Final = 0x80000000
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_X32: Final = 0x40000000

_REFUSED_CALLS: Final = {
    # architecture's audit number; socket, socketpair, clone, fork, vfork, execve, ptrace, execveat,
    # io_uring_setup, clone3
    "x86_64": (0xC000003E, (41, 53, 56, 57, 58, 59, 101, 322, 425, 435)),
    # socket, socketpair, clone, execve, ptrace, execveat, io_uring_setup, clone3
    "aarch64": (0xC00000B7, (198, 199, 220, 221, 117, 281, 425, 435)),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def confine(*, parent: int, memory_bytes: int) -> None:
    """Limit this process, for good.

    Raises:
        OSError: the kernel refuses.
        SystemExit: the parent is gone already.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _prctl(libc, _PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    for kind, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _MAX_FILES),
        (resource.RLIMIT_CORE, 0),
        # Where there is no seccomp. It binds no other process of the user, whose processes are
        # counted, and no superuser at all.
        (resource.RLIMIT_NPROC, 0),
    ):
        _limit(kind, limit)
    # A sandbox without seccomp (gVisor, say) has its own walls.
    with contextlib.suppress(OSError):
        _refuse_calls(libc)


def grant_cpu(seconds: int) -> None:
    """Let the process use so many more seconds of CPU; then the kernel ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def _limit(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def _prctl(libc: ctypes.CDLL, option: int, value: int, pointer: object = None) -> None:
    if libc.prctl(option, ctypes.c_ulong(value), pointer, None, None):
        raise OSError(ctypes.get_errno(), f"prctl {option} is refused")


def _refuse_calls(libc: ctypes.CDLL) -> None:
    if os.uname().machine not in _REFUSED_CALLS:
        return
    code = _program(*_REFUSED_CALLS[os.uname().machine])
    program = _Program(len(code) // 8, code)
    _prctl(libc, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))


def _program(architecture: int, calls: tuple[int, ...]) -> bytes:
    """A filter in classic BPF: refuse the calls, allow the others."""
    checks = [(_JUMP_EQUAL, call) for call in calls]
    checks.append((_JUMP_NOT_BELOW, _X32))  # a second table of the same calls, on x86_64
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *((jump, len(checks) - n, 0, call) for n, (jump, call) in enumerate(checks)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
