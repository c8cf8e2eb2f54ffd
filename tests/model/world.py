"""Workers, their group, readers, reconciliation and time: everything that a test moves by hand."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from embedder.usecases.reconcile import Plan, Reconcile
from kartoteka_contracts.access import grant
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId, document_id
from kartoteka_contracts.keys import bodies_prefix, record_prefix
from kartoteka_index.search import SearchQuery
from tests.model.api import CABINETS, DOCUMENTS, Api
from tests.model.contents import DIMENSION
from tests.model.memory_log import MemoryLog, Stored
from tests.model.memory_objects import Shelf
from tests.model.memory_qdrant import MemoryCollections
from tests.model.process import Fate, Process, owned_task
from tests.model.promises import Promises, Work
from tests.model.view import View
from tests.model.virtual_loop import LoopClock, VirtualLoop
from tests.model.worker import INDEX, ProcessLog, Stores, Worker, index_for, objects_for

__all__ = ["Reader", "World"]

_QUERY: Final = SearchQuery(vector=np.ones(DIMENSION, dtype=np.float32), top_k=200)
_MOST_ROUNDS: Final = 3000


class Reader(Process):
    """A search under way."""

    def __init__(self, world: "World", name: str, cabinet: CabinetId) -> None:
        super().__init__(world.loop, name, world.away)
        promises = world.promises
        since = len(promises.changes)
        before: Mapping[str, Work | None] = {
            document_id(*one): promises.published(document_id(*one)) for one in DOCUMENTS
        }
        index = self.own(lambda: index_for(self, world.stores))

        async def search() -> None:
            try:
                hits = await index.search(grant(cabinet), _QUERY)
            except UnavailableError:
                return
            promises.check_answer(cabinet, since, before, hits)

        self.task = self.start(search())
        world.loop.settle()


class Reconciler(Process):
    """A reconciliation under way."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world.loop, name, world.away)
        stores = world.stores
        usecase = self.own(
            lambda: Reconcile(
                archive=objects_for(self, stores),
                index=index_for(self, stores),
                backlog=stores.log,
                log=ProcessLog(self, stores.log),
                clock=stores.clock,
            )
        )

        async def run() -> None:
            try:
                await usecase.run(Plan(rate=1e9))
            except UnavailableError:
                return

        self.task = self.start(run())
        world.loop.settle()


class World:
    """One run."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.loop.set_task_factory(owned_task)
        self.away: set[str] = set()
        clock = LoopClock(self.loop)
        self.stores = Stores(
            index=_collections(), objects=Shelf(clock), log=MemoryLog(clock), clock=clock
        )
        self.api = Api(self.stores)
        self.promises = Promises(self.api)
        self.stores.log.appended.append(self._deliver)
        self.views = [View(self.stores.log), View(self.stores.log)]
        self.workers: list[Worker] = []
        self.zombies: list[Worker] = []
        self.others: list[Reader | Reconciler] = []
        self.generation = 0
        self._named = 0
        self.join()

    # --- the group ------------------------------------------------------------------------------

    def join(self) -> None:
        """Start a worker."""
        self.workers.append(Worker(self.loop, self._name("worker"), self.away, self.stores))
        self.rebalance()

    def crash(self, worker: Worker) -> None:
        """Kill a worker, and share out its partitions."""
        worker.crash()
        for kept in (self.workers, self.zombies):
            if worker in kept:
                kept.remove(worker)
        if worker.gone is None:
            self.rebalance()

    def leave(self, worker: Worker) -> None:
        """Let the group give up a worker that works on: it is paused, or cut off."""
        worker.gone = "its session has ended"
        self.workers.remove(worker)
        self.zombies.append(worker)
        self.rebalance()

    def rejoin(self, worker: Worker) -> None:
        """Let a zombie find out."""
        self.zombies.remove(worker)
        self.workers.append(worker)
        self.rebalance(commit=False)

    def commit(self) -> None:
        """Make acknowledgements durable."""
        for worker in self.workers:
            if worker.generation == self.generation and worker.gone is None:
                self.stores.log.committed.update(worker.acked)

    def rebalance(self, *, commit: bool = True) -> None:
        """Begin a generation."""
        if commit:
            self.commit()
        self.generation += 1
        for n, worker in enumerate(self.workers):
            places = [
                place
                for place in self.stores.log.jobs()
                if (place.partition + self.generation) % len(self.workers) == n
            ]
            worker.turn(self.generation, places)
        self.loop.settle()

    def _deliver(self, record: Stored) -> None:
        for worker in self.workers:
            if record.place in worker.places:
                worker.take(record)

    # --- steps ----------------------------------------------------------------------------------

    @property
    def processes(self) -> list[Process]:
        """Those that wait for a step."""
        all_: list[Process] = [*self.workers, *self.zombies, *self.others]
        return [one for one in all_ if one.parked]

    def step(self, which: int, steps: int, stride: int, fate: Fate = Fate.GO) -> None:
        """Let one process go on; the fate is that of its last call."""
        processes = self.processes
        if not processes:
            return
        process = processes[which % len(processes)]
        for n in range(steps):
            last = fate if n == steps - 1 else Fate.GO
            if process.step(stride * n, last) is None:
                return
        self.look()

    def read(self, cabinet: CabinetId) -> None:
        """Begin a search."""
        self.others.append(Reader(self, self._name("reader"), cabinet))

    def glance(self) -> None:
        """Search all cabinets in one moment."""
        if INDEX in self.away:
            return
        for cabinet in CABINETS:
            reader = Reader(self, "glance", cabinet)
            while reader.step(0) is not None:
                pass
            reader.task.result()
        self.look()

    def reconcile(self) -> None:
        """Begin a reconciliation."""
        self.others.append(Reconciler(self, self._name("reconciler")))

    def look(self) -> None:
        """Raise if anything was found that may not be."""
        for other in list(self.others):
            if other.task.done():
                self.others.remove(other)
                other.task.result()
        for worker in (*self.workers, *self.zombies):
            if worker.running.done():
                worker.running.result()
        found = [
            *self.promises.violations,
            *(text for worker in self.workers for text in worker.violations),
            *(text for view in self.views for text in view.violations),
        ]
        assert not found, found[0]

    # --- rest -----------------------------------------------------------------------------------

    def until_quiet(self) -> None:
        """Let everything go on, and time pass, until all that was asked for is acknowledged."""
        self.loop.settle()
        for _ in range(_MOST_ROUNDS):
            processes = self.processes
            for process in processes:
                while process.step(0) is not None:
                    pass
            self.look()
            if processes:
                continue
            self.commit()
            if not self.stores.log.unprocessed() and not self.others:
                return
            seconds = self.loop.next_timer
            assert seconds is not None, f"P2: stuck with {self.stores.log.unprocessed()}"
            self.loop.advance(seconds)
        raise AssertionError(f"P2: no end, {len(self.stores.log.unprocessed())} unprocessed")

    def restart(self) -> None:
        """Kill everybody, and start one worker."""
        for process in (*self.workers, *self.zombies, *self.others):
            process.crash()
        self.workers.clear()
        self.zombies.clear()
        self.others.clear()
        self.join()

    def close(self) -> None:
        """End all tasks."""
        for process in (*self.workers, *self.zombies, *self.others):
            process.crash()
        self.loop.close()

    def snapshot(self) -> dict[str, Any]:
        """Return all that is stored, without times and tries."""
        objects = self.stores.objects
        bodies = [body for one in CABINETS for body in objects.keys(bodies_prefix(one))]
        newest = [objects.keys(record_prefix(one[0], document_id(*one)))[-1:] for one in DOCUMENTS]
        return {
            "chunks": self.promises.chunks(),
            "manifests": dict(self.promises.standing),
            "bodies": bodies,
            # An overtaken delete of a cabinet may leave a record, below the newest.
            "newest records": newest,
        }

    def _name(self, kind: str) -> str:
        self._named += 1
        return f"{kind} {self._named}"


def _collections() -> MemoryCollections:
    collections = MemoryCollections()
    probe = Process(VirtualLoop(), "setup", set())
    stores: Any = type("_Setup", (), {"index": collections})
    index = index_for(probe, stores)
    collections.points = {index._chunks: {}, index._documents: {}}
    probe.loop.close()
    return collections
