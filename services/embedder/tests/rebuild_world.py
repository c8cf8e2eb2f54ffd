"""A world to rebuild: the index is emptied, and a worker does what is sent, or loses it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from indexing_world import CABINET, delivered
from qdrant_client import AsyncQdrantClient
from reconcile_world import ReconcileWorld

from embedder.domain.job import JobEvent
from embedder.usecases.rebuild import Rebuild, RebuildPlan
from embedder.usecases.rebuild_report import RebuildReport
from embedder.usecases.rebuild_window import Limits
from kartoteka_contracts.codec import decode
from kartoteka_index.upkeep import Upkeep
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.producer import Delivered

QUICK = Limits(
    shortest_seconds=0.001, longest_seconds=0.001, lost_seconds=0.01, patience_seconds=5.0
)


class RebuildWorld(ReconcileWorld):
    """What was accepted, and an index that can be lost."""

    async def wipe(self) -> None:
        """Lose all that the index holds, and all events."""
        await self.index.close()
        settings, model = self.index._settings, self.index._model
        self.index = Upkeep(AsyncQdrantClient(":memory:"), settings, model)
        await self.index.ensure()
        self.topics.waiting_events.clear()
        self.log.sent.clear()

    async def rebuild(
        self,
        *,
        log: Any = None,
        limits: Limits = QUICK,
        watch: Callable[[RebuildReport], None] = lambda _: None,
        **plan: Any,
    ) -> RebuildReport:
        """Run it once, by default beside a worker that does at once what is sent."""
        usecase = Rebuild(
            archive=self.objects,
            index=self.index,
            backlog=self.topics,
            log=log or WorkingLog(self),
            clock=SystemClock(),
        )
        return await usecase.run(RebuildPlan(limits=limits, **plan), watch)

    async def lost_and_rebuilt(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a search finds and what is decided, before and after."""
        before = await self.answers()
        await self.wipe()
        await self.rebuild()
        return before, await self.answers()

    async def answers(self) -> dict[str, Any]:
        """Return all that a search can find, and what stands about each document."""
        page = await self.index.documents(CABINET, limit=1000)
        return {
            # Equal ones stand in the order of their writes; a sum depends on its order, too.
            "hits": sorted(
                (-round(hit.score, 6), hit.document_id, hit.text, hit.start, repr(hit.metadata))
                for hit in await self.hits()
            ),
            "states": {one.document_id: (one.state, one.fence) for one in page.manifests},
        }


class WorkingLog:
    """Kafka with a worker behind it, which does each event as it comes."""

    def __init__(
        self,
        world: RebuildWorld,
        before: Callable[[JobEvent], Awaitable[bool]] | None = None,
    ) -> None:
        self._world = world
        self._before = before

    async def send(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Delivered:
        sent = await self._world.log.send(topic, key=key, value=value, headers=headers)
        if topic == "documents.bulk":
            event = decode(value)
            assert isinstance(event, JobEvent)
            if self._before is None or await self._before(event):
                await self._world.settle(delivered(event))
        await asyncio.sleep(0)
        return sent
