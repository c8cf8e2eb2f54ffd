"""How the service's looks around are put together: the part of the bootstrap that only watches."""

import asyncio
from dataclasses import dataclass
from typing import Final, Self

from ingest_api.adapters.group_lag import GroupLag
from ingest_api.adapters.operations_log import OperationsLog, OperationsMetrics
from ingest_api.adapters.surroundings import Surroundings
from ingest_api.reading import Reading
from ingest_api.settings import Settings
from kartoteka_contracts.topics import TOPICS
from kartoteka_contracts.topics import Service as Role
from kartoteka_index import Reach
from kartoteka_runtime.loop_lag import LoopLag
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.objects import ObjectStore

__all__ = ["Observing"]

_WORKERS: Final = frozenset({Role.EMBEDDER, Role.PLANNER})
_NO_OBJECT: Final = "probes/none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observing:
    """What watches, for metrics alone: nothing of it decides anything."""

    surroundings: Surroundings
    operations: OperationsLog
    loop_lag: LoopLag
    lag: GroupLag
    index: Reach

    @classmethod
    def build(
        cls, settings: Settings, *, reading: Reading, objects: ObjectStore, metrics: Metrics
    ) -> Self:
        """Put it together; nothing is connected yet."""
        topics = [name for name, topic in TOPICS.items() if _WORKERS & topic.consumers]
        group = settings.watch.group
        lag = GroupLag(settings.kafka, group=group, topics=topics)
        index = Reach(settings.qdrant)
        surroundings = Surroundings(
            metrics,
            lag=lag,
            group=group,
            probes={
                "qdrant": index.ping,
                "object_storage": lambda: objects.exists(_NO_OBJECT),
                "embedder": reading.embedder.ping,
            },
        )
        return cls(
            surroundings=surroundings,
            operations=OperationsLog(settings.kafka, OperationsMetrics(metrics)),
            loop_lag=LoopLag(metrics),
            lag=lag,
            index=index,
        )

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.surroundings.run())
            group.create_task(self.operations.run())
            group.create_task(self.loop_lag.run())

    async def close(self) -> None:
        """Close the connections."""
        await self.lag.stop()
        await self.index.close()
