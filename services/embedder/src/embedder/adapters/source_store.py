"""The places outside that cabinets' settings name, behind the planner's port."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

from embedder.adapters.source_bucket import BucketPlace, open_bucket
from embedder.adapters.source_credentials import CredentialsFile, SourceCredentials
from embedder.adapters.source_folder import FolderPlace
from embedder.adapters.source_reading import (
    ChangedMeanwhileError,
    Place,
    Reading,
    unreadable,
)
from embedder.domain.source_patterns import SourcePatterns
from embedder.planner_ports import CopiedObject, ListedObject, SourceError
from kartoteka_contracts.cabinets import Source
from kartoteka_contracts.errors import KartotekaError
from kartoteka_contracts.media_type import HEAD_BYTES, sniff
from kartoteka_runtime.objects import ObjectStore
from kartoteka_runtime.source_settings import SourceSettings, SourceUrl

if TYPE_CHECKING:  # it is not there at run time
    from obstore.store import ObjectStore as Bucket

__all__ = ["OutsideSources"]

_TRIES: Final = 2
_MOST_OPEN: Final = 64


class OutsideSources:
    """Folders, S3 buckets, and what else object stores of the clouds there are.

    ``gs://`` and ``az://`` are opened with the platform's own credentials; no test covers them.

    Args:
        settings: which URLs are allowed, and the credentials.
        objects: our own object storage, to copy into.
        read: told of every byte that is read of an object, in portions.
    """

    def __init__(
        self,
        settings: SourceSettings,
        objects: ObjectStore,
        *,
        read: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._read = read
        self._settings = settings
        self._objects = objects
        self._credentials = CredentialsFile(settings.credentials_file)
        self._buckets: dict[tuple[SourceUrl, SourceCredentials | None], Bucket] = {}

    async def listing(self, source: Source) -> AsyncIterator[list[ListedObject]]:
        """Give the objects that the source's patterns take, page by page, in any order.

        What comes or goes meanwhile may be given or not; nothing is downloaded. A folder that is
        empty, and a prefix of a bucket at which nothing is, give no page.

        Raises:
            SourceError: ``source_not_allowed``, or ``source_unavailable``: it could not be listed
                to its end. The message says what to do, for people.
        """
        patterns = SourcePatterns.of(source.include, source.exclude)
        place = await asyncio.to_thread(self._open, source)
        async for page in place.pages():
            if taken := [found for found in page if patterns.takes(found.path)]:
                yield taken

    async def copy(self, source: Source, listed_path: str, *, to_key: str) -> CopiedObject:
        """Stream an object into our own object storage, in bounded memory; one version of it.

        Raises:
            KartotekaError: ``source_object_gone``, ``source_object_too_large``, or
                ``source_object_unreadable``: the store refuses it, or it changes all the time.
            SourceError: ``source_not_allowed``, or ``source_unavailable``.
            UnavailableError: our own object storage is away.
        """
        place = await asyncio.to_thread(self._open, source)
        for _ in range(_TRIES):
            try:
                async with place.reading(listed_path) as reading:
                    return await self._copied(reading, listed_path, to_key)
            except ChangedMeanwhileError:
                continue
        raise unreadable(listed_path, f"it changed in each of {_TRIES} tries to copy it")

    async def _copied(self, reading: Reading, path: str, key: str) -> CopiedObject:
        limit = self._settings.max_bytes
        if reading.size > limit:
            raise _too_large(path, limit)
        tally = _Tally(path, limit, self._read)
        await self._objects.write(key, tally.through(reading.chunks))
        return CopiedObject(
            sha256=tally.digest.hexdigest(),
            size=tally.size,
            media_type=sniff(bytes(tally.head), path.rpartition("/")[2]),
            stamp=reading.stamp,
        )

    def _open(self, source: Source) -> Place:
        """Find what the source names now: a changed credentials file counts at once. Blocks."""
        allowed = self._settings.allowing(source.url)
        if allowed is None:
            raise SourceError(
                "source_not_allowed",
                f"the source {source.name!r} is not at or below a URL of SOURCE_ALLOWED_URLS: "
                f"ask the operators to allow {_shown(source.url)}",
            )
        url = SourceUrl.parse(source.url)
        if url.scheme == "file":
            return FolderPlace(url, allowed)
        name = source.credentials
        credentials = None if name is None else self._credentials.named(name)
        access = "the embedders' own credentials" if name is None else f"the credentials {name!r}"
        return BucketPlace(url, self._bucket(url, credentials), access)

    def _bucket(self, url: SourceUrl, credentials: SourceCredentials | None) -> "Bucket":
        held = self._buckets.get((url, credentials))
        if held is None:
            held = open_bucket(url, credentials)
            if len(self._buckets) >= _MOST_OPEN:
                self._buckets.clear()
            self._buckets[url, credentials] = held
        return held


class _Tally:
    """What goes by on its way into our own storage."""

    def __init__(self, path: str, limit: int, read: Callable[[int], None]) -> None:
        self._read = read
        self.digest = hashlib.sha256()
        self.head = bytearray()
        self.size = 0
        self._path = path
        self._limit = limit

    async def through(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Give the same chunks; ends the write where they are more than they said."""
        async for chunk in chunks:
            self._read(len(chunk))
            self.size += len(chunk)
            if self.size > self._limit:
                raise _too_large(self._path, self._limit)
            if len(self.head) < HEAD_BYTES:
                self.head += chunk[: HEAD_BYTES - len(self.head)]
            # hashlib lets other threads run over a chunk of this size, but not this one's loop.
            await asyncio.to_thread(self.digest.update, chunk)
            yield chunk


def _too_large(path: str, limit: int) -> KartotekaError:
    return KartotekaError("source_object_too_large", f"{path!r} has more than {limit} bytes")


def _shown(url: str) -> str:
    """Leave out what may be a secret: nothing keeps anybody from writing one into a URL."""
    return "its URL" if "@" in url or "?" in url else url
