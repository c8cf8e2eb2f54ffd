"""All collections of one data folder, which one process at a time may have."""

import fcntl
import os
import re
from pathlib import Path
from typing import Final, Self

from qdrant_client import models

from kartoteka_local.qdrant.collection import Collection
from kartoteka_local.qdrant.refusal import Refusal

__all__ = ["FolderInUseError", "Store"]

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_LOCK: Final = "lock"
_COLLECTIONS: Final = "collections"


class FolderInUseError(Exception):
    """Another process has the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"another process serves {folder}: end that one first, or name another --data folder"
        )


class Store:
    """The collections by name."""

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder = folder / _COLLECTIONS
        self._lock = lock
        self.collections: dict[str, Collection] = {}

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Take the folder and open every collection in it.

        Raises:
            FolderInUseError: another process has it.
            CorruptDataError: a collection is damaged.
        """
        store = cls(folder, _lock(folder))
        store._folder.mkdir(exist_ok=True)
        for each in sorted(store._folder.iterdir()):
            collection = Collection.open(each)
            if collection is not None:
                store.collections[each.name] = collection
        return store

    def get(self, name: str) -> Collection:
        """Return a collection.

        Raises:
            Refusal: 404.
        """
        found = self.collections.get(name)
        if found is None:
            raise Refusal.absent(f"Not found: Collection `{name}` doesn't exist!")
        return found

    def create(self, name: str, created: models.CreateCollection) -> None:
        """Create a collection.

        Raises:
            Refusal: 409 where it is there, 400 where the name can be none.
        """
        if not _NAME.fullmatch(name):
            raise Refusal.wrong(f"{name!r} cannot name a collection")
        if name in self.collections:
            raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
        self.collections[name] = Collection.create(self._folder / name, created)

    def delete(self, name: str) -> bool:
        """Delete a collection; False where there is none."""
        collection = self.collections.pop(name, None)
        if collection is None:
            return False
        collection.drop()
        return True

    def flush(self) -> None:
        """Flush every collection that was written to."""
        for collection in self.collections.values():
            if collection.is_dirty:
                collection.flush()

    def close(self) -> None:
        """Close everything and let the folder go."""
        for collection in self.collections.values():
            collection.close()
        self.collections.clear()
        os.close(self._lock)


def _lock(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # The kernel lets it go with the process, however that ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise FolderInUseError(folder) from None
    return lock
