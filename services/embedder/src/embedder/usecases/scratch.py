"""The disk that bodies lie on while they are read: bounded, and its end is no document's fault."""

import asyncio
import errno
import os
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from embedder.domain.admission import Work
from kartoteka_contracts.errors import UnavailableError

__all__ = ["Scratch"]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PROBED_BYTES: Final = 64 * 1024**2
"""A disk that takes as much is not full: a body that still finds no room is too large for it."""


class Scratch:
    """Room for bodies, half of it for interactive work and half for all other.

    Neither half waits for the other, and in each the first to come is the first to be let in. A
    body is let in before it is fetched, so that no more of them lie there than parsers soon need.

    Args:
        size: bytes of all bodies together. A body larger than half of it waits until its half is
            empty, and is then let in all the same.
        bodies: of each half at most.
        folder: where they lie; None for the system's folder for temporary files.
    """

    def __init__(self, *, size: int, bodies: int, folder: Path | None = None) -> None:
        self._folder = folder
        self._interactive = _Half(size // 2, bodies)
        self._other = _Half(size // 2, bodies)
        self._trouble: str | None = None
        self._refused = 1

    @property
    def trouble(self) -> str | None:
        """Why the last body found no room; None where it did."""
        return self._trouble

    @property
    def held(self) -> int:
        """Bytes let in and not yet let out."""
        return self._interactive.held + self._other.held

    async def probe(self) -> None:
        """Look whether there is room for a body such as the last that found none.

        Raises:
            UnavailableError: ``scratch_full``.
            OSError: the disk has other trouble.
        """
        size = min(self._refused, _PROBED_BYTES)
        with self._told(size):
            await asyncio.to_thread(_allocate, size, self._folder)

    @asynccontextmanager
    async def body(self, work: Work, size: int) -> AsyncIterator[Path]:
        """Wait for room, and give a file that can be written within; then it is deleted.

        Args:
            work: the class of the work.
            size: bytes that will be written at most.

        Raises:
            UnavailableError: ``scratch_full``: the disk is, whoever filled it.
        """
        half = self._interactive if work is Work.INTERACTIVE else self._other
        await half.enter(size)
        try:
            with (
                self._told(size),
                tempfile.TemporaryDirectory(dir=self._folder, prefix="kartoteka-") as folder,
            ):
                yield Path(folder) / "body"
        finally:
            half.leave(size)

    @contextmanager
    def _told(self, size: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            where = self._folder or tempfile.gettempdir()
            self._refused = max(1, size)
            self._trouble = f"no room for a body of {size} bytes in {where}: {error.strerror}"
            raise UnavailableError("scratch_full", self._trouble) from error
        self._trouble = None


class _Half:
    """A share of the room, given out in the order of the calls."""

    def __init__(self, size: int, bodies: int) -> None:
        self.held = 0
        self._size = size
        self._bodies = bodies
        self._inside = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, size: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._let_in()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._let_in()  # whoever waits behind may fit
            else:
                self.leave(size)
            raise

    def leave(self, size: int) -> None:
        self.held -= size
        self._inside -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.cancelled():
                if not self._fits(size):
                    return
                self.held += size
                self._inside += 1
                turn.set_result(None)
            self._waiting.popleft()

    def _fits(self, size: int) -> bool:
        if self._inside == 0:
            return True
        return self._inside < self._bodies and self.held + size <= self._size


def _allocate(size: int, folder: Path | None) -> None:
    with tempfile.TemporaryFile(dir=folder, prefix="kartoteka-") as file:
        os.posix_fallocate(file.fileno(), 0, size)
