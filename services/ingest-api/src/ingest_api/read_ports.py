"""What reading tasks and documents, and searching, need from the world."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ingest_api.domain.cabinet import Cabinet
from ingest_api.domain.run_plan import RunPlan
from ingest_api.domain.task import Task
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.ids import CabinetId, DocumentId, TaskId
from kartoteka_contracts.reindex import ReindexMode
from kartoteka_contracts.tasks import DocumentState, TaskStatus
from kartoteka_index import Hit, Manifest, ManifestPage, SearchQuery

__all__ = [
    "CabinetCatalogue",
    "CabinetQuery",
    "Changes",
    "DocumentIndex",
    "Freshness",
    "QueryEmbedder",
    "RunPlanner",
    "Subscription",
    "TaskCatalogue",
    "TaskPlace",
    "TaskQuery",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlace:
    """Where in a list of tasks one stands."""

    accepted_at: datetime
    task_id: TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """Which tasks to list, the last accepted first."""

    cabinets: frozenset[CabinetId] | None
    """Only of these; None: of all."""
    limit: int
    status: TaskStatus | None = None
    after: TaskPlace | None = None
    """Begin behind this one."""


class TaskCatalogue(Protocol):
    """The view's tasks. Every call raises UnavailableError while they cannot be read."""

    async def task(self, task_id: TaskId) -> Task | None:
        """Return a task of any cabinet; None where it is not known here."""
        ...

    async def tasks(self, query: TaskQuery) -> list[Task]:
        """Return tasks, the last accepted first."""
        ...

    async def open_documents(
        self, cabinet: AuthorisedCabinet, *, start: DocumentId | None, limit: int
    ) -> list[DocumentId]:
        """Return documents with open tasks, in the order of their ids, from ``start`` on."""
        ...

    async def tasks_of(self, document_ids: Sequence[DocumentId]) -> list[Task]:
        """Return all tasks of documents, newest work first."""
        ...

    async def is_forgotten(self, task_id: TaskId) -> bool:
        """Return whether a task left with the document that it was about."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CabinetQuery:
    """Which cabinets to list, in the order of their ids."""

    cabinets: frozenset[CabinetId] | None
    """Only these; None: all."""
    limit: int
    after: CabinetId | None = None
    """Begin behind this one."""


class CabinetCatalogue(Protocol):
    """The view's cabinets. Every call raises UnavailableError while they cannot be read."""

    async def cabinet(self, cabinet_id: CabinetId) -> Cabinet | None:
        """Return a cabinet; None where it is not known here."""
        ...

    async def cabinets(self, query: CabinetQuery) -> list[Cabinet]:
        """Return cabinets in the order of their ids."""
        ...

    async def open_runs(self, cabinets: Sequence[CabinetId]) -> list[Task]:
        """Return the runs of cabinets that have not ended."""
        ...

    async def last_runs(self, cabinets: Sequence[CabinetId]) -> list[Task]:
        """Return the last run of each cabinet that came to an end of its own."""
        ...


class RunPlanner(Protocol):
    """Says what a run would do."""

    async def plan(self, cabinet: AuthorisedCabinet, mode: ReindexMode) -> RunPlan:
        """Return what a run of the cabinet would do now.

        Raises:
            UnavailableError: ``planner_unavailable``: nobody answers with a plan.
        """
        ...


class Freshness(Protocol):
    """How far the view has read."""

    async def catch_up(self) -> None:
        """Return once everything acknowledged before this call is in the view.

        Raises:
            UnavailableError: ``view_behind``: it did not come to that in time.
        """
        ...


class Subscription(Protocol):
    """Word of the changes of one task."""

    async def changed(self, *, within: float) -> bool:
        """Wait for a change since the last call; False after ``within`` seconds."""
        ...


class Changes(Protocol):
    """Who wants to know when a task changes."""

    @property
    def closed(self) -> bool:
        """Whether the process is about to stop, so that listeners must leave."""
        ...

    def subscribe(self, task_id: TaskId) -> AbstractContextManager[Subscription]:
        """Return the word of changes from now on.

        Raises:
            UnavailableError: ``overloaded``: as many as may listen do, or ``shutting_down``.
        """
        ...


class QueryEmbedder(Protocol):
    """Makes a query's vector."""

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a query.

        Raises:
            UnavailableError: ``embeddings_unavailable``: no embedder answers.
        """
        ...


class DocumentIndex(Protocol):
    """The index as reading needs it. Every call raises UnavailableError while it is away."""

    async def locate(
        self,
        document_id: DocumentId,
        permit: Callable[[CabinetId], AuthorisedCabinet | None],
    ) -> Manifest | None:
        """Return what was decided about a document, where its cabinet is permitted."""
        ...

    async def manifests(
        self, cabinet: AuthorisedCabinet, document_ids: Iterable[DocumentId]
    ) -> dict[DocumentId, Manifest]:
        """Return what was decided about documents."""
        ...

    async def documents(
        self,
        cabinet: AuthorisedCabinet,
        *,
        state: DocumentState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ManifestPage:
        """Return a page of manifests, in the order of their ids."""
        ...

    async def search(self, cabinet: AuthorisedCabinet, query: SearchQuery) -> list[Hit]:
        """Return the nearest published chunks, nearest first."""
        ...
