"""The index: chunks, the manifests that say which of them count, and search over both."""

from collections.abc import Iterable, Sequence
from typing import Self

from qdrant_client import AsyncQdrantClient

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.ids import DocumentId, Epoch, Version
from kartoteka_contracts.tasks import DocumentState
from kartoteka_index.client import QdrantSettings, connect
from kartoteka_index.manifest import Decision, Manifest, ManifestPage
from kartoteka_index.model import ModelIdentity
from kartoteka_index.points import ChunkPoint
from kartoteka_index.search import Hit, SearchQuery

__all__ = ["Index"]


class Index:
    """One model's index. Every call raises UnavailableError("index_unavailable") where Qdrant is
    away."""

    def __init__(
        self, client: AsyncQdrantClient, settings: QdrantSettings, model: ModelIdentity
    ) -> None:
        self._client = client
        self._settings = settings
        self._model = model

    @classmethod
    def open(cls, settings: QdrantSettings, model: ModelIdentity) -> Self:
        """Return the index; nothing is connected yet."""
        return cls(connect(settings), settings, model)

    async def close(self) -> None:
        """Close the connections."""
        raise NotImplementedError

    async def ensure(self) -> None:
        """Create collections and payload indexes where they are missing.

        Raises:
            IndexMismatchError: a collection is there, for another model.
        """
        raise NotImplementedError

    async def ping(self) -> None:
        """Return when the collections answer."""
        raise NotImplementedError

    async def upsert(self, cabinet: AuthorisedCabinet, points: Sequence[ChunkPoint]) -> None:
        """Write chunks; they are durable on return and not searchable until published."""
        raise NotImplementedError

    async def count(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> int:
        """Return exactly how many chunks of this work are stored."""
        raise NotImplementedError

    async def manifest(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId
    ) -> Manifest | None:
        """Return what stands about a document; None also where it is another cabinet's."""
        raise NotImplementedError

    async def manifests(
        self, cabinet: AuthorisedCabinet, document_ids: Iterable[DocumentId]
    ) -> dict[DocumentId, Manifest]:
        """Return what stands about documents, in one call; absent and foreign ones are left out."""
        raise NotImplementedError

    async def decide(self, cabinet: AuthorisedCabinet, decision: Decision) -> Manifest | None:
        """Write a decision unless a higher or other one stands, and read back what stands.

        Returns:
            What stands, where this task decided it (by this call or by an earlier delivery of the
            same work: then its outcome may be another); None where the work is superseded.
        """
        raise NotImplementedError

    async def sweep(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> None:
        """Delete the document's chunks strictly below (version, epoch)."""
        raise NotImplementedError

    async def discard(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> None:
        """Delete the chunks of exactly this work."""
        raise NotImplementedError

    async def search(self, cabinet: AuthorisedCabinet, query: SearchQuery) -> list[Hit]:
        """Return the nearest published chunks of the cabinet, nearest first."""
        raise NotImplementedError

    async def documents(
        self,
        cabinet: AuthorisedCabinet,
        *,
        state: DocumentState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ManifestPage:
        """Return a page of the cabinet's manifests, in the order of their ids."""
        raise NotImplementedError
