"""Object storage in a dictionary, as workers and reconciliation reach it."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from kartoteka_runtime.clock import Clock
from kartoteka_runtime.object_listing import FoundObject
from kartoteka_runtime.objects import ObjectCorruptError, ObjectMissingError

__all__ = ["MemoryObjects", "Shelf", "at_once"]

T = TypeVar("T")

_PAGE: Final = 4
"""Objects listed at a time: few, so that something happens between two pages."""


class Passing(Protocol):
    """Lets a request through, or not."""

    def __call__(self, label: str, effect: Callable[[], T]) -> Awaitable[T]: ...


async def at_once(label: str, effect: Callable[[], T]) -> T:
    """Serve a request without waiting."""
    del label
    return effect()


class Shelf:
    """What is stored."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[bytes, datetime]] = {}

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self._objects[key] = (data, self._clock.now())

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; False where there was."""
        if key in self._objects:
            return False
        self.put(key, data)
        return True

    def get(self, key: str) -> bytes:
        """Return an object."""
        if key not in self._objects:
            raise ObjectMissingError(key)
        return self._objects[key][0]

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix of whole segments, sorted."""
        stem = prefix.rstrip("/") + "/"
        return sorted(key for key in self._objects if key.startswith(stem))

    def modified(self, key: str) -> datetime:
        """Return when an object was written."""
        return self._objects[key][1]

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; absent ones are fine."""
        for key in keys:
            self._objects.pop(key, None)


class MemoryObjects:
    """The client."""

    def __init__(self, shelf: Shelf, passing: Passing = at_once) -> None:
        self._shelf = shelf
        self._pass = passing

    async def download(self, key: str, to: Path, *, size: int, sha256: str) -> int:
        data = await self._pass("download", lambda: self._shelf.get(key))
        if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
            raise ObjectCorruptError(key, "another body")
        return _store(to, data)

    async def read(self, key: str) -> bytes:
        return await self._pass("read", lambda: self._shelf.get(key))

    async def exists(self, key: str) -> bool:
        return await self._pass("exists", lambda: self._has(key))

    async def create(self, key: str, data: bytes) -> bool:
        return await self._pass("create", lambda: self._shelf.create(key, data))

    async def keys(self, prefix: str) -> list[str]:
        return await self._pass("keys", lambda: self._shelf.keys(prefix))

    async def delete(self, keys: Sequence[str]) -> None:
        await self._pass("delete objects", lambda: self._shelf.delete(keys))

    async def pages(self, prefix: str) -> AsyncIterator[list[FoundObject]]:
        after = ""
        while True:
            page = await self._pass("pages", partial(self._page, prefix, after))
            if not page:
                return
            yield page
            after = page[-1].key

    async def folders(self, prefix: str) -> list[str]:
        keys = await self._pass("folders", lambda: self._shelf.keys(prefix))
        stem = len(prefix.rstrip("/")) + 1
        return sorted({key[stem:].split("/")[0] for key in keys if "/" in key[stem:]})

    def _has(self, key: str) -> bool:
        return self._shelf.keys(key.rpartition("/")[0]).count(key) == 1

    def _page(self, prefix: str, after: str) -> list[FoundObject]:
        keys = [key for key in self._shelf.keys(prefix) if key > after]
        return [FoundObject(key=key, modified=self._shelf.modified(key)) for key in keys[:_PAGE]]


def _store(to: Path, data: bytes) -> int:
    return to.write_bytes(data)
