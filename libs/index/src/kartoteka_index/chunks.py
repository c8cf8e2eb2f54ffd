"""The chunks of documents: written, counted, copied and erased. None of it publishes any."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from qdrant_client import models

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import DocumentId, Epoch, Version, point_id
from kartoteka_index import cabinet_filter, payloads
from kartoteka_index.batches import batches
from kartoteka_index.connection import Connection
from kartoteka_index.failures import attempt
from kartoteka_index.points import ChunkPoint

__all__ = ["Chunks"]

_LARGEST_BATCH: Final = 256
"""Points that one write may have left behind in part, whatever its sender's settings were."""
_PAGE: Final = 128
"""Chunks read at a time, with their vectors, to be copied."""


class Chunks(Connection):
    """The part of an index that writes chunks."""

    async def upsert(self, cabinet: AuthorisedCabinet, points: Sequence[ChunkPoint]) -> None:
        """Write chunks; they are durable on return and not searchable until published.

        Raises:
            ValueError: a vector is not of the model's dimension, or not finite.
        """
        for point in points:
            if (
                point.vector.shape != (self._model.dimension,)
                or not np.isfinite(point.vector).all()
            ):
                raise ValueError(f"the vector of chunk {point.n} is none of {self._model.name}")
        await self._write_all(payloads.chunk(cabinet.cabinet_id, point) for point in points)

    async def count(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> int:
        """Return exactly how many chunks of this work are stored."""
        return await self._count(cabinet_filter.chunks_of(cabinet, document_id, version, epoch))

    async def sweep(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> None:
        """Delete the document's chunks strictly below (version, epoch)."""
        await self._delete(cabinet_filter.chunks_below(cabinet, document_id, version, epoch))

    async def discard(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> None:
        """Delete the chunks of exactly this work."""
        await self._delete(cabinet_filter.chunks_of(cabinet, document_id, version, epoch))

    async def trim(
        self,
        cabinet: AuthorisedCabinet,
        document_id: DocumentId,
        version: Version,
        epoch: Epoch,
        *,
        chunks: int,
        stored: int,
    ) -> None:
        """Delete the chunks of exactly this work that lie behind its first ``chunks``.

        An earlier try at it, read by another parser or cut by another release, may have made more:
        ``stored`` of them. The chunks that are to stay are not touched, so another try that
        publishes them meanwhile loses nothing.
        """
        ids = [
            point_id(cabinet.cabinet_id, document_id, version, epoch, n)
            for n in range(chunks, stored + _LARGEST_BATCH)
        ]
        await self._delete(cabinet_filter.chunks_named(cabinet, ids))

    async def copy(
        self,
        cabinet: AuthorisedCabinet,
        document_id: DocumentId,
        *,
        source: tuple[Version, Epoch],
        to: tuple[Version, Epoch],
        filename: str,
        metadata: Mapping[str, Any],
    ) -> None:
        """Write the chunks of one work once more as those of another, with another payload.

        Whatever of the source is gone meanwhile is not copied: count what is there afterwards.
        """
        offset: models.ExtendedPointId | None = None
        work = (document_id, *to)
        while True:
            records, offset = await self._page(cabinet, (document_id, *source), offset)
            copies = (
                payloads.copied(
                    record, cabinet.cabinet_id, work=work, filename=filename, metadata=metadata
                )
                for record in records
            )
            await self._write_all(copies)
            if offset is None:
                return

    async def erase(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, *, up_to: Version
    ) -> int:
        """Delete all chunks of a document up to a version, and see that they are gone.

        Returns:
            How many were found.

        Raises:
            UnavailableError: some are there still.
        """
        return await self._erase(
            cabinet_filter.chunks_up_to(cabinet, up_to, document_id=document_id)
        )

    async def erase_cabinet(
        self, cabinet: AuthorisedCabinet, *, up_to: Version, without: Sequence[DocumentId] = ()
    ) -> int:
        """Delete all chunks of a cabinet up to a version, but those of some documents.

        Returns:
            How many were found.

        Raises:
            UnavailableError: some are there still.
        """
        return await self._erase(cabinet_filter.chunks_up_to(cabinet, up_to, without=without))

    async def _erase(self, chunks: models.Filter) -> int:
        found = await self._count(chunks)
        await self._delete(chunks)
        left = await self._count(chunks)
        if left:
            raise UnavailableError("index_unavailable", f"{left} deleted chunks are still there")
        return found

    async def _count(self, chunks: models.Filter) -> int:
        found = await attempt(
            "count", lambda: self._client.count(self._chunks, count_filter=chunks, exact=True)
        )
        return found.count

    async def _page(
        self,
        cabinet: AuthorisedCabinet,
        work: tuple[DocumentId, Version, Epoch],
        offset: models.ExtendedPointId | None,
    ) -> tuple[list[models.Record], models.ExtendedPointId | None]:
        return await attempt(
            "read chunks",
            lambda: self._client.scroll(
                self._chunks,
                scroll_filter=cabinet_filter.chunks_of(cabinet, *work),
                limit=_PAGE,
                offset=offset,
                with_payload=True,
                with_vectors=True,
            ),
        )

    async def _write_all(self, points: Iterable[models.PointStruct]) -> None:
        limits = self._settings
        for batch in batches(points, count=limits.upsert_batch, size=limits.upsert_bytes):
            await attempt("upsert", partial(self._write, batch))

    async def _write(self, batch: list[models.PointStruct]) -> None:
        await self._client.upsert(
            self._chunks, batch, wait=True, ordering=models.WriteOrdering.MEDIUM
        )

    async def _delete(self, chunks: models.Filter) -> None:
        await attempt(
            "delete",
            lambda: self._client.delete(
                self._chunks,
                models.FilterSelector(filter=chunks),
                wait=True,
                ordering=models.WriteOrdering.MEDIUM,
            ),
        )
