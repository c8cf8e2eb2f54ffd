"""Small disks that can be filled: tmpfs mounts in a name space of our own."""

import ctypes
import errno
import os
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["SmallDisk", "own_mounts"]

_CLONE_NEWNS: Final = 0x00020000
_BLOCK: Final = 1 << 20


def own_mounts() -> str:
    """Leave the machine's mount name space, so that no mount of ours outlives the process.

    Must be called before any thread is started; child processes inherit it.

    Returns:
        Empty, or why there can be no small disks here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        return f"no mount name space: {os.strerror(ctypes.get_errno())}"
    private = subprocess.run(
        ["mount", "--make-rprivate", "/"], capture_output=True, text=True, check=False
    )
    return "" if private.returncode == 0 else f"mounts stay shared: {private.stderr.strip()}"


class SmallDisk:
    """A folder with room for ``size`` bytes.

    Raises:
        OSError: it cannot be mounted.
    """

    def __init__(self, folder: Path, *, size: int) -> None:
        self.folder = folder
        self._ballast = folder / ".ballast"
        folder.mkdir(parents=True, exist_ok=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode != 0:
            raise OSError(errno.EPERM, f"no small disk at {folder}: {mounted.stderr.strip()}")

    def fill(self) -> int:
        """Take all room that is left; returns how many bytes that was."""
        taken = 0
        descriptor = os.open(self._ballast, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            block = _BLOCK
            while block:
                try:
                    os.posix_fallocate(descriptor, taken, block)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    block //= 2
                else:
                    taken += block
        finally:
            os.close(descriptor)
        return taken

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount, with all that lies there."""
        subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)
