"""The index as reconciliation sees it: whole, page by page, searchable or not."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final

from qdrant_client import models

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, Version
from kartoteka_index import cabinet_filter, payloads
from kartoteka_index.cabinet_filter import CABINET
from kartoteka_index.client import QdrantSettings, connect
from kartoteka_index.failures import attempt
from kartoteka_index.index import Index
from kartoteka_index.manifest import Manifest
from kartoteka_index.model import IndexMismatchError, ModelIdentity

__all__ = ["Upkeep", "Work", "discover"]

Work = tuple[DocumentId, Version, Epoch]
"""What one publication of a document, or one try at it, is named by."""

_PAGE: Final = 1000
_NAMED: Final = [CABINET, "document_id", "version", "epoch"]


class Upkeep(Index):
    """An index with what only reconciliation asks of it."""

    async def works(
        self, cabinet: AuthorisedCabinet, *, before: int
    ) -> AsyncIterator[Mapping[Work, int]]:
        """Give the works of a cabinet that have chunks, page by page, with how many the page has.

        A work with many chunks is on many pages.

        Args:
            cabinet: the granted one.
            before: microseconds: works with a version or an epoch from then on are left out.
        """
        wanted = cabinet_filter.chunks_before(cabinet, before)
        offset: models.ExtendedPointId | None = None
        while True:
            records, offset = await self._named(wanted, offset)
            yield Counter(payloads.work(found) for _, found in self._own(cabinet, records))
            if offset is None:
                return

    async def other_cabinet(self, known: Collection[CabinetId]) -> CabinetId | None:
        """Return a cabinet that has chunks and is none of these; None where there is no other."""
        found, _ = await attempt(
            "look for cabinets",
            lambda: self._client.scroll(
                self._chunks,
                scroll_filter=cabinet_filter.outside(known),
                limit=1,
                with_payload=[CABINET],
                with_vectors=False,
            ),
        )
        named = next((record.payload for record in found if record.payload), None)
        return None if named is None else CabinetId(int(named[CABINET]))

    async def forget(self, cabinet: AuthorisedCabinet, deleted: Manifest) -> None:
        """Remove the manifest of a deleted document, unless anything was done to it since."""
        tombstone = cabinet_filter.tombstone(
            cabinet, deleted.document_id, deleted.fence, deleted.epoch
        )
        await attempt(
            "forget",
            lambda: self._client.delete(
                self._documents,
                models.FilterSelector(filter=tombstone),
                wait=True,
                ordering=models.WriteOrdering.STRONG,
            ),
        )

    async def _named(
        self, wanted: models.Filter, offset: models.ExtendedPointId | None
    ) -> tuple[list[models.Record], models.ExtendedPointId | None]:
        return await attempt(
            "list chunks",
            lambda: self._client.scroll(
                self._chunks,
                scroll_filter=wanted,
                limit=_PAGE,
                offset=offset,
                with_payload=_NAMED,
                with_vectors=False,
            ),
        )


async def discover(settings: QdrantSettings, name: str) -> ModelIdentity:
    """Return the identity of a model that has an index, without the model.

    Args:
        settings: where the index is.
        name: the model's, as its publisher writes it.

    Raises:
        UnavailableError: Qdrant is away, or has no index of that model.
        IndexMismatchError: there are several, of different dimensions.
    """
    client = connect(settings)
    try:
        stem = ModelIdentity(name=name, dimension=0).chunk_collection(settings.collection)
        pattern = re.compile(re.escape(stem.removesuffix("0")) + r"(\d+)")
        listed = await attempt("list collections", client.get_collections)
        found = [pattern.fullmatch(known.name) for known in listed.collections]
    finally:
        await client.close()
    dimensions = sorted(int(match[1]) for match in found if match)
    if not dimensions:
        raise UnavailableError(
            "index_unavailable",
            f"Qdrant has no collection {stem.removesuffix('0')}*: no worker with the model {name} "
            "has started yet, or MODEL_NAME or QDRANT_COLLECTION is another one there",
        )
    if len(dimensions) > 1:
        raise IndexMismatchError(f"{name} has several indexes, of the dimensions {dimensions}")
    return ModelIdentity(name=name, dimension=dimensions[0])
