"""Snapshots of the view in object storage, so that a new replica need not read a week of log.

A snapshot is the view's file with its offsets: whoever starts from it reads on from there. One
replica an hour makes one; a snapshot that is lost, old or damaged costs time, nothing else.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from ingest_api.adapters.catalogue_schema import FILE_NAME
from ingest_api.adapters.sqlite_catalogue import (
    CatalogueDamagedError,
    CatalogueUnwritableError,
    SqliteCatalogue,
)
from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger

__all__ = ["SnapshotStore", "ViewSnapshots"]

_log = get_logger(__name__)

_PREFIX: Final = f"views/{FILE_NAME.removesuffix('.sqlite')}/"
_ENDING: Final = ".sqlite"
_CLAIM: Final = ".claim"
_KEPT: Final = 2
_PERIOD: Final = timedelta(hours=1)
_DOWNLOAD_SECONDS: Final = 120.0
_CHUNK: Final = 1024 * 1024


class SnapshotStore(Protocol):
    """Object storage, as snapshots use it. Raises KartotekaError where something is away."""

    async def create(self, key: str, data: bytes) -> bool:
        """Write a small object unless there is one; False where there is."""
        ...

    async def write(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Stream an object; visible whole or not at all."""
        ...

    async def download(self, key: str, to: Path) -> int:
        """Stream an object into a file."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; absent ones are fine."""
        ...


class ViewSnapshots:
    """Makes and takes snapshots.

    Args:
        store: where they lie.
        catalogue: what they are of.
        folder: for files on their way; the catalogue's own.
        clock: tells the hour.
    """

    def __init__(
        self, store: SnapshotStore, catalogue: SqliteCatalogue, folder: Path, clock: Clock
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._folder = folder
        self._clock = clock
        self._last: datetime | None = None

    async def restore(self) -> bool:
        """Begin the empty catalogue with the newest snapshot; False where none can be used."""
        path = self._folder / "snapshot.incoming"
        try:
            async with asyncio.timeout(_DOWNLOAD_SECONDS):
                found = [key for key in await self._store.keys(_PREFIX) if key.endswith(_ENDING)]
                if not found:
                    return False
                await self._store.download(found[-1], path)
            await self._catalogue.adopt(path)
        except (KartotekaError, OSError, TimeoutError, CatalogueUnwritableError) as error:
            _log.warning("view_snapshot_not_used", reason=str(error) or type(error).__name__)
            return False
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        _log.info("view_snapshot_used", key=found[-1])
        return True

    async def save_if_due(self) -> bool:
        """Make this hour's snapshot, unless it was made here or another replica makes it."""
        now = self._clock.now()
        if self._last is not None and now - self._last < _PERIOD:
            return False
        self._last = now
        try:
            return await self._save(now)
        except (
            KartotekaError,
            OSError,
            sqlite3.Error,
            CatalogueDamagedError,
            CatalogueUnwritableError,
        ) as error:
            _log.warning("view_snapshot_not_made", reason=str(error) or type(error).__name__)
            return False

    async def _save(self, now: datetime) -> bool:
        name = f"{_PREFIX}{now:%Y%m%dT%H}"
        if not await self._store.create(f"{name}{_CLAIM}", b""):
            return False
        path = self._folder / "snapshot.outgoing"
        try:
            await asyncio.to_thread(_copy, self._catalogue.path, path)
            size = await self._store.write(f"{name}{_ENDING}", _chunks(path))
        finally:
            path.unlink(missing_ok=True)
        _log.info("view_snapshot_made", key=f"{name}{_ENDING}", bytes=size)
        keys = await self._store.keys(_PREFIX)
        snapshots = [key for key in keys if key.endswith(_ENDING)]
        claims = [key for key in keys if key.endswith(_CLAIM) and key < name]
        await self._store.delete([*snapshots[:-_KEPT], *claims])
        return True


def _copy(source: Path, target: Path) -> None:
    """Copy the file as it is at one moment, beside the thread that goes on writing it."""
    target.unlink(missing_ok=True)
    reader = sqlite3.connect(source, isolation_level=None)
    try:
        reader.execute("VACUUM INTO ?", (str(target),))
    finally:
        reader.close()


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
