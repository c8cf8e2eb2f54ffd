"""The index of whichever model the embedders serve, opened once that is known."""

from collections.abc import Awaitable, Callable, Iterable

from ingest_api.adapters.shared_attempt import SharedAttempt
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.ids import CabinetId, DocumentId
from kartoteka_contracts.tasks import DocumentState
from kartoteka_index import (
    Hit,
    Index,
    Manifest,
    ManifestPage,
    ModelIdentity,
    QdrantSettings,
    SearchQuery,
)

__all__ = ["ModelIndex"]


class ModelIndex:
    """Passes calls to the index of the current model.

    Besides the index's own errors every call raises UnavailableError("embeddings_unavailable")
    while the model is not known.

    Args:
        settings: where Qdrant is.
        model: says which model is current.
    """

    def __init__(
        self, settings: QdrantSettings, model: Callable[[], Awaitable[ModelIdentity]]
    ) -> None:
        self._settings = settings
        self._model = model
        self._opened: dict[ModelIdentity, Index] = {}
        self._opening = SharedAttempt(self._open)

    async def close(self) -> None:
        """Close the connections."""
        await self._opening.close()
        for index in self._opened.values():
            await index.close()
        self._opened.clear()

    async def locate(
        self,
        document_id: DocumentId,
        permit: Callable[[CabinetId], AuthorisedCabinet | None],
    ) -> Manifest | None:
        """Return what was decided about a document, where its cabinet is permitted."""
        return await (await self._index()).locate(document_id, permit)

    async def manifests(
        self, cabinet: AuthorisedCabinet, document_ids: Iterable[DocumentId]
    ) -> dict[DocumentId, Manifest]:
        """Return what was decided about documents."""
        return await (await self._index()).manifests(cabinet, document_ids)

    async def documents(
        self,
        cabinet: AuthorisedCabinet,
        *,
        state: DocumentState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ManifestPage:
        """Return a page of manifests, in the order of their ids."""
        index = await self._index()
        return await index.documents(cabinet, state=state, cursor=cursor, limit=limit)

    async def search(self, cabinet: AuthorisedCabinet, query: SearchQuery) -> list[Hit]:
        """Return the nearest published chunks, nearest first."""
        return await (await self._index()).search(cabinet, query)

    async def _index(self) -> Index:
        found = self._opened.get(await self._model())
        return found if found is not None else await self._opening.outcome()

    async def _open(self) -> Index:
        model = await self._model()
        if model not in self._opened:
            index = Index.open(self._settings, model)
            try:
                # Before the first document there is no collection, and a search finds nothing.
                await index.ensure()
            except BaseException:
                await index.close()
                raise
            # An older model's stays open: requests may still be using it, and it is small.
            self._opened[model] = index
        return self._opened[model]
