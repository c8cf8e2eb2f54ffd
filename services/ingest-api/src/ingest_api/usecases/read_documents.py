"""Look documents up and list them, from manifests and the view's open tasks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.domain.task import Task
from ingest_api.read_ports import DocumentIndex, Freshness, TaskCatalogue
from ingest_api.usecases.document import Document, document_of
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import CabinetId, DocumentId
from kartoteka_contracts.tasks import DocumentState
from kartoteka_index import Manifest

__all__ = ["DocumentPage", "ReadDocuments"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPage:
    """Some documents, and the id at which the next ones begin; None at the end.

    A page may hold fewer than were asked for though more follow.
    """

    documents: tuple[Document, ...]
    next: DocumentId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDocuments:
    """What callers may ask of documents."""

    catalogue: TaskCatalogue
    freshness: Freshness
    index: DocumentIndex

    async def find(
        self, principal: Principal, document_id: DocumentId, *, scope: Scope = Scope.READ
    ) -> Document:
        """Return a document of one of the caller's cabinets, for what the scope allows.

        Raises:
            RequestError: ``not_found``; a foreign id takes the way of an unknown one.
            UnavailableError: the index is away, or the view is behind.
        """
        document = await self._look(principal, document_id, scope)
        if document is None:
            await self.freshness.catch_up()
            document = await self._look(principal, document_id, scope)
        if document is None:
            raise RequestError("not_found")
        return document

    async def page(
        self,
        cabinet: AuthorisedCabinet,
        *,
        state: DocumentState | None,
        start: DocumentId | None,
        limit: int,
    ) -> DocumentPage:
        """Return documents of a cabinet in the order of their ids, from ``start`` on.

        Raises:
            UnavailableError: the index is away, or the view cannot be read.
        """
        waiting: list[DocumentId] = []
        if state in {None, DocumentState.ACCEPTED}:
            waiting = await self.catalogue.open_documents(cabinet, start=start, limit=limit + 1)
        page = await self.index.documents(cabinet, state=state, cursor=start, limit=limit)
        manifests = {manifest.document_id: manifest for manifest in page.manifests}
        ids = sorted({*manifests, *waiting})
        if page.cursor is not None:
            # What lies behind the index's page may be missing from it, so it is the next page's.
            ids = [document_id for document_id in ids if document_id < page.cursor]
        shown = ids[:limit]
        following = ids[limit] if len(ids) > limit else page.cursor
        documents = await self._documents(cabinet, shown, manifests)
        return DocumentPage(
            documents=tuple(d for d in documents if state is None or d.state is state),
            next=None if following is None else DocumentId(following),
        )

    async def _look(
        self, principal: Principal, document_id: DocumentId, scope: Scope
    ) -> Document | None:
        tasks = await self.catalogue.tasks_of([document_id])

        def permit(cabinet_id: CabinetId) -> AuthorisedCabinet | None:
            if not principal.sees(cabinet_id):
                return None
            return authorise(principal, scope, cabinet_id)

        manifest = await self.index.locate(document_id, permit)
        return document_of(manifest, [task for task in tasks if principal.sees(task.cabinet_id)])

    async def _documents(
        self,
        cabinet: AuthorisedCabinet,
        ids: Sequence[DocumentId],
        manifests: dict[DocumentId, Manifest],
    ) -> list[Document]:
        if not ids:
            return []
        tasks: defaultdict[DocumentId | None, list[Task]] = defaultdict(list)
        for task in await self.catalogue.tasks_of(ids):
            if task.cabinet_id == cabinet.cabinet_id:
                tasks[task.document_id].append(task)
        # A filter by state leaves out manifests that open tasks may stand above.
        unread = [document_id for document_id in ids if document_id not in manifests]
        known = manifests | await self.index.manifests(cabinet, unread)
        found = (document_of(known.get(document_id), tasks[document_id]) for document_id in ids)
        return [document for document in found if document is not None]
