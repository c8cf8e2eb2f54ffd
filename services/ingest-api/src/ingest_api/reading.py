"""How reading and searching are put together: the part of the bootstrap that the view is in."""

import asyncio
from dataclasses import dataclass
from typing import Self

from ingest_api.adapters.cabinet_catalogue import SqliteCabinets
from ingest_api.adapters.catalogue_figures import SqliteFigures
from ingest_api.adapters.http_embedder import HttpEmbedder
from ingest_api.adapters.http_planner import HttpPlanner
from ingest_api.adapters.kafka_view import KafkaView
from ingest_api.adapters.model_index import ModelIndex
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.adapters.task_changes import TaskChanges
from ingest_api.adapters.view_gauges import ViewGauges
from ingest_api.adapters.view_metrics import ViewMetrics
from ingest_api.adapters.view_snapshots import SnapshotStore, ViewSnapshots
from ingest_api.ports import EventLog
from ingest_api.settings import SearchSettings, Settings
from ingest_api.usecases.read_cabinets import ReadCabinets
from ingest_api.usecases.read_documents import ReadDocuments
from ingest_api.usecases.read_tasks import ReadTasks
from ingest_api.usecases.search import Search
from kartoteka_index import ModelIdentity
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.health import Health
from kartoteka_runtime.metrics import Metrics

__all__ = ["Reading"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The use cases that read, and what they live on."""

    tasks: ReadTasks
    documents: ReadDocuments
    cabinets: ReadCabinets
    search: Search
    view: KafkaView
    gauges: ViewGauges
    catalogue: SqliteCatalogue
    changes: TaskChanges
    embedder: HttpEmbedder
    planner: HttpPlanner
    index: ModelIndex

    @classmethod
    def build(
        cls,
        settings: Settings,
        *,
        log: EventLog,
        objects: SnapshotStore,
        clock: Clock,
        health: Health,
        metrics: Metrics,
    ) -> Self:
        """Put it together; nothing is connected or opened yet."""
        figures = ViewMetrics(metrics)
        catalogue = SqliteCatalogue(settings.view.path, clock)
        changes = TaskChanges(limit=settings.view.max_listeners)
        view = KafkaView(
            settings.kafka,
            settings.view,
            catalogue=catalogue,
            changes=changes,
            log=log,
            health=health,
            metrics=figures,
            clock=clock,
            snapshots=ViewSnapshots(objects, catalogue, settings.view.path, clock),
        )
        embedder = HttpEmbedder(settings.embeddings, clock, model=_model(settings.search))
        index = ModelIndex(settings.qdrant, embedder.model)
        tasks = ReadTasks(
            catalogue=catalogue,
            freshness=view,
            changes=changes,
            clock=clock,
            on_miss=figures.missed,
            heartbeat=settings.view.heartbeat_seconds,
            longest=settings.view.stream_seconds,
        )
        return cls(
            tasks=tasks,
            documents=ReadDocuments(catalogue=catalogue, freshness=view, index=index),
            cabinets=ReadCabinets(catalogue=SqliteCabinets(catalogue), freshness=view, clock=clock),
            search=Search(embedder=embedder, index=index),
            view=view,
            gauges=ViewGauges(metrics, view=view, counts=SqliteFigures(catalogue), clock=clock),
            catalogue=catalogue,
            changes=changes,
            embedder=embedder,
            planner=HttpPlanner(settings.embeddings, clock),
            index=index,
        )

    async def run(self) -> None:
        """Keep the view, and count what it holds, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.view.run())
            group.create_task(self.gauges.run())

    async def end_streams(self, stopping: asyncio.Event) -> None:
        """End every event stream once the process is about to stop."""
        await stopping.wait()
        self.changes.close()

    async def close(self) -> None:
        """Close files and connections."""
        await self.index.close()
        await self.embedder.close()
        await self.planner.close()
        await self.catalogue.close()


def _model(settings: SearchSettings) -> ModelIdentity | None:
    if settings.model_name is None or settings.model_dimension is None:
        return None
    return ModelIdentity(name=settings.model_name, dimension=settings.model_dimension)
