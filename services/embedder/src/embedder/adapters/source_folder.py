"""A source that is a folder, perhaps mounted from elsewhere.

Symbolic links are not followed, neither in a listing nor where somebody puts one between a
listing and a copy: every path is opened segment by segment from the folder that was allowed.
"""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

import structlog

from embedder.adapters.source_reading import (
    ChangedMeanwhileError,
    Reading,
    away,
    gone,
    unreadable,
)
from embedder.planner_ports import ListedObject
from kartoteka_runtime.source_settings import SourceUrl

__all__ = ["FolderPlace"]

_PAGE: Final = 1000
_READ_BYTES: Final = 1024 * 1024
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LINKLESS: Final = os.O_NOFOLLOW
# A pipe must not keep whoever opens it waiting.
_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | _LINKLESS
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_log = structlog.get_logger(__name__)


class _File:
    """A descriptor that is closed when nobody holds it.

    A read in a thread outlives the task that is cancelled meanwhile; closing under it would let it
    read whatever gets the same number next.
    """

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class FolderPlace:
    """A folder at or below one that the operators allow.

    Args:
        url: of the source.
        allowed: the URL at or below which it lies; links in this one's path are the operators'.
    """

    def __init__(self, url: SourceUrl, allowed: SourceUrl) -> None:
        self._url = url
        self._top = allowed.path
        self._below = url.segments[len(allowed.segments) :]

    async def pages(self) -> AsyncIterator[list[ListedObject]]:
        """Give the files; names that are not UTF-8, links, pipes and devices are left out."""
        files = self._files()
        while page := await asyncio.to_thread(lambda: list(islice(files, _PAGE))):
            yield page

    @asynccontextmanager
    async def reading(self, path: str) -> AsyncIterator[Reading]:
        """Open a file; what was read is one version by its times, size and place on the disk."""
        file, before = await asyncio.to_thread(self._open_file, path)
        yield Reading(
            stamp=_stamp(before), size=before.st_size, chunks=self._chunks(path, file, before)
        )

    async def _chunks(self, path: str, file: _File, before: os.stat_result) -> AsyncIterator[bytes]:
        # At the size and not at the end: a file that grows as fast as it is read has no end.
        left = before.st_size
        while left:
            chunk = await asyncio.to_thread(_read, path, file, min(left, _READ_BYTES))
            if not chunk:
                raise ChangedMeanwhileError
            left -= len(chunk)
            yield chunk
        if await asyncio.to_thread(self._identity, path) != _identity(before):
            raise ChangedMeanwhileError

    def _identity(self, path: str) -> tuple[int, ...]:
        _, now = self._open_file(path)
        return _identity(now)

    def _files(self) -> Iterator[ListedObject]:
        """Walk: folders are remembered by path, so that a deep tree holds no descriptors."""
        unnamed = 0
        with self._listing_errors(), _closing(self._open_root()) as root:
            waiting: list[tuple[str, ...]] = [()]
            while waiting:
                folder = waiting.pop()
                try:
                    descriptor = _descend(root, folder)
                except OSError as error:
                    if error.errno in _NOT_THERE:  # removed since its parent was read
                        continue
                    raise
                with _closing(descriptor), os.scandir(descriptor) as entries:
                    for entry in entries:
                        if not _is_utf8(entry.name):
                            unnamed += 1
                        elif entry.is_dir(follow_symlinks=False):
                            waiting.append((*folder, entry.name))
                        elif (found := _listed(folder, entry)) is not None:
                            yield found
            self._must_still_be(root)
        if unnamed:
            _log.warning("source_names_not_utf8", source=str(self._url), left_out=unnamed)

    def _must_still_be(self, root: int) -> None:
        """Where the folder was unmounted or replaced meanwhile, what was seen was not all."""
        was = os.fstat(root)
        with _closing(self._open_root()) as again:
            now = os.fstat(again)
        if (was.st_dev, was.st_ino) != (now.st_dev, now.st_ino):
            raise away(
                f"the folder {self._url.path} was replaced or unmounted while it was listed: "
                "nothing is lost, the next run lists it again"
            )

    def _open_root(self) -> int:
        try:
            with _closing(os.open(self._top, _FOLDER)) as top:
                return _descend(top, self._below)
        except OSError as error:
            if error.errno in _NOT_THERE:
                raise away(
                    f"there is no folder {self._url.path} here, or it lies behind a symbolic link: "
                    "mount it in every embedder, or correct the URL"
                ) from error
            raise self._away(error) from error

    def _open_file(self, path: str) -> tuple[_File, os.stat_result]:
        *folders, name = path.split("/")
        if not {"", ".", ".."}.isdisjoint((*folders, name)) or "\0" in path:
            raise gone(path)
        with _closing(self._open_root()) as root:
            try:
                with _closing(_descend(root, tuple(folders))) as folder:
                    file = _File(os.open(name, _FILE, dir_fd=folder))
            except OSError as error:
                # ENXIO: a socket has taken the file's place.
                if error.errno in {*_NOT_THERE, errno.ENXIO}:
                    raise gone(path) from error
                if error.errno in _REFUSED:
                    raise unreadable(path, "let the embedder's user read it") from error
                raise self._away(error) from error
        found = os.fstat(file.descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise gone(path)
        return file, found

    @contextmanager
    def _listing_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._away(error) from error

    def _away(self, error: OSError) -> Exception:
        advice = (
            "let the embedder's user read it and all folders in it"
            if error.errno in _REFUSED
            else "check what it is mounted from"
        )
        return away(f"the folder {self._url.path} cannot be read ({error.strerror}): {advice}")


def _descend(folder: int, segments: tuple[str, ...]) -> int:
    """Open a folder below another one, following no link. The caller closes it."""
    current = os.dup(folder)
    for segment in segments:
        with _closing(current):
            current = os.open(segment, _FOLDER | _LINKLESS, dir_fd=current)
    return current


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _listed(folder: tuple[str, ...], entry: os.DirEntry[str]) -> ListedObject | None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # removed since its folder was read
        return None
    if not stat.S_ISREG(found.st_mode) or _is_unfinished(entry.name):
        return None
    return ListedObject(
        path="/".join((*folder, entry.name)),
        stamp=_stamp(found),
        size=found.st_size,
        modified=_time(found),
    )


def _read(path: str, file: _File, size: int) -> bytes:
    try:
        return os.read(file.descriptor, size)
    except OSError as error:
        raise away(
            f"reading {path!r} failed ({error.strerror}): check the disk or mount"
        ) from error


def _is_unfinished(name: str) -> bool:
    """A write of object storage that has not ended, or never will, is ``name#digits``."""
    _, _, suffix = name.partition("#")
    return suffix.isascii() and suffix.isdigit()


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _stamp(found: os.stat_result) -> str:
    # No entity tag: inode numbers of mounted folders change without the content changing.
    return f"|{found.st_size}|{found.st_mtime_ns // 1000}"


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _time(found: os.stat_result) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)
    except OverflowError:  # some disks hold times that no calendar has
        return _EPOCH
