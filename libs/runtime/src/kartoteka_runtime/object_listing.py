"""Object storage, listed page by page with the time of each object: for whoever tidies it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import obstore

from kartoteka_runtime.objects import ObjectStore, _translated

__all__ = ["FoundObject", "ListingStore"]

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObject:
    """An object that a listing named; it may be gone by now."""

    key: str
    modified: datetime
    """UTC, aware; by the store's clock."""


class ListingStore(ObjectStore):
    """Object storage of which more can be listed than fits memory."""

    async def pages(self, prefix: str) -> AsyncIterator[list[FoundObject]]:
        """Give the objects below a prefix of whole segments; those of one folder follow each other.

        What comes or goes meanwhile may be given or not.

        Raises:
            UnavailableError: object storage is away.
        """
        stream = aiter(obstore.list(self._store, prefix, chunk_size=_PAGE))
        while True:
            with _translated("list", prefix):
                page = await anext(stream, None)
            if page is None:
                return
            yield [FoundObject(key=meta["path"], modified=meta["last_modified"]) for meta in page]

    async def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders right below a prefix of whole segments, sorted.

        Raises:
            UnavailableError: object storage is away.
        """
        with _translated("list", prefix):
            found = await obstore.list_with_delimiter_async(self._store, prefix)
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])
