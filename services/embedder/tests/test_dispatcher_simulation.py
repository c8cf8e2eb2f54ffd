"""The dispatcher in a simulated group, through whatever order of events chance finds."""

import asyncio
import random
from collections import defaultdict, deque

from hypothesis import given, settings
from hypothesis import strategies as st

from embedder.domain.admission import WORK_TOPICS, Limits
from embedder.domain.delivery import Delivery
from embedder.domain.job import Job, Lease, Origin, RawRecord
from embedder.domain.window import Place
from embedder.entrypoints.dispatcher import Dispatcher
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.events import DocumentSubmitted, TaskCancellationRequested
from kartoteka_contracts.wire import Event
from kartoteka_testkit.builders import cancellation, submitted
from kartoteka_testkit.frozen_clock import FrozenClock
from kartoteka_testkit.run_events import run_continued

PLACES = [Place(topic, partition) for topic in WORK_TOPICS for partition in range(2)]
_, _, RETRY, RUNS = WORK_TOPICS
LIMITS = Limits(
    interactive=3,
    bulk=2,
    retry=2,
    reindex=2,
    running=3,
    reserved=1,
    planning=1,
    held=3,
    unacknowledged=6,
)

Key = tuple[Place, int]


class Group:
    """A handler and a log in one, which know what may never happen."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = FrozenClock()
        self.dispatcher = Dispatcher(self, LIMITS, clock=self.clock)
        self.records: dict[Place, list[RawRecord]] = defaultdict(list)
        self.committed: dict[Place, int] = defaultdict(int)
        self.durable: set[Key] = set()
        self.running: dict[asyncio.Future[None], tuple[str, RawRecord]] = {}
        self.submissions: list[DocumentSubmitted] = []
        self.cancelled: set[str] = set()
        self.queues: dict[str, deque[Delivery]] = {topic: deque() for topic in WORK_TOPICS}
        self.owned: set[Place] = set()
        self.generation = 0

    async def handle(self, job: Job, lease: Lease) -> None:
        assert lease.ended is None
        if isinstance(job.event, TaskCancellationRequested):
            await asyncio.sleep(0)
            self._end(job.record)
            return
        lane = job.event.key
        at_work = [other for other, _ in self.running.values()]
        assert lane not in at_work, "two tasks of one document, or steps of one cabinet, at once"
        runs = [at for at in (job.record, *self._at_work()) if at.origin.topic == RUNS]
        assert len(runs) <= LIMITS.planning
        gate = asyncio.get_running_loop().create_future()
        self.running[gate] = (lane, job.record)
        try:
            await gate
        finally:
            del self.running[gate]
        self._end(job.record)

    def _at_work(self) -> list[RawRecord]:
        # The gate of one that was stopped is done, though it is not told yet.
        return [record for gate, (_, record) in self.running.items() if not gate.done()]

    async def supersede(self, job: Job) -> None:
        assert job.record.origin.topic != RUNS, "no step ends another"
        await asyncio.sleep(0)
        self._end(job.record)

    async def cancel(self, job: Job) -> None:
        await asyncio.sleep(0)
        work = job.record
        assert work not in (record for _, record in self.running.values()), "closed while it runs"
        assert job.event.task_id in self.cancelled, "nobody asked for that"
        self._end(work)

    async def reject(self, record: RawRecord, error: EventError) -> None:
        assert error.code
        self._end(record)

    def _end(self, record: RawRecord) -> None:
        origin = record.origin
        self.durable.add((Place(origin.topic, origin.partition), origin.offset))

    def _event(self, place: Place) -> Event:
        if place.topic == RUNS:
            return run_continued(cabinet=self.random.randint(1, 3))
        if self.submissions and self.random.random() < 0.25:
            request = cancellation(self.random.choice(self.submissions))
            self.cancelled.add(request.task_id)
            return request
        if self.submissions and self.random.random() < 0.2:
            return self.random.choice(self.submissions)
        name, version = self.random.choice("abc"), self.random.randint(1, 4)
        self.submissions.append(submitted(external_id=name, version=version))
        return self.submissions[-1]

    def produce(self) -> None:
        place = self.random.choice(PLACES)
        event = self._event(place)
        is_readable = self.random.random() > 0.1
        is_later = place.topic in (RETRY, RUNS) and self.random.random() < 0.5
        due_ms = int(self.clock.now().timestamp() * 1000) + 1000
        offset = len(self.records[place])
        record = RawRecord(
            origin=Origin(topic=place.topic, partition=place.partition, offset=offset),
            key=event.key.encode(),
            value=event.model_dump_json().encode() if is_readable else b"?",
            headers=tuple(Envelope(not_before_ms=due_ms if is_later else None).to_headers()),
        )
        self.records[place].append(record)
        if place in self.owned:
            self.queues[place.topic].append(self._delivery(place, offset))

    def rebalance(self, owned: set[Place]) -> None:
        self.dispatcher.suspend()
        self.generation += 1
        self.owned = owned
        self.dispatcher.turn(self.generation, owned)
        for topic, queue in self.queues.items():
            queue.clear()
            for place in owned:
                if place.topic == topic:
                    offsets = range(self.committed[place], len(self.records[place]))
                    queue.extend(self._delivery(place, offset) for offset in offsets)

    def _delivery(self, place: Place, offset: int) -> Delivery:
        generation = self.generation

        async def acknowledge() -> None:
            assert generation == self.generation, "a stale acknowledgement"
            assert offset == self.committed[place], "an acknowledgement over a gap"
            assert (place, offset) in self.durable, "an acknowledgement before the end"
            self.committed[place] += 1

        return Delivery(
            record=self.records[place][offset], generation=generation, acknowledge=acknowledge
        )

    async def actor(self, topic: str) -> None:
        while True:
            if self.queues[topic]:
                await self.dispatcher.submit(self.queues[topic].popleft())
            await asyncio.sleep(0)

    async def step(self) -> None:
        match self.random.choice("pppeeeertho"):
            case "p":
                self.produce()
            case "e" if open_gates := [gate for gate in self.running if not gate.done()]:
                self.random.choice(open_gates).set_result(None)
            case "t":
                self.clock.advance(0.4)
            case "h":
                self.dispatcher.hold(self.random.choice("xy"))
            case "o":
                self.dispatcher.release(self.random.choice("xy"))
            case "r" if self.random.random() < 0.3:
                for _ in range(self.random.randint(1, 2)):  # lost and got back at once, too
                    self.rebalance({place for place in PLACES if self.random.random() < 0.7})
                if self.random.random() < 0.5:
                    await self._until_committed(self.owned)
            case _:
                pass
        for _ in range(self.random.randint(1, 6)):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """End all work; what is owned must be committed without another rebalance."""
        await self._until_committed(self.owned)
        self.rebalance(set(PLACES))
        await self._until_committed(set(PLACES))

    async def _until_committed(self, places: set[Place]) -> None:
        self.clock.advance(10)
        for name in "xy":
            self.dispatcher.release(name)
        for _ in range(5000):
            for gate in list(self.running):
                if not gate.done():
                    gate.set_result(None)
            await asyncio.sleep(0)
            if all(self.committed[place] == len(self.records[place]) for place in places):
                return
        raise AssertionError(f"not all is committed: {self.committed}")

    async def run(self, steps: int) -> None:
        background = [
            asyncio.create_task(self.dispatcher.run()),
            *(asyncio.create_task(self.actor(topic)) for topic in WORK_TOPICS),
        ]
        self.rebalance(set(PLACES))
        for _ in range(steps):
            await self.step()
            assert not any(task.done() for task in background)
        await self.finish()
        assert self.dispatcher.running == 0
        assert self.dispatcher.dead_heads() == frozenset()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_everything_ends_and_nothing_is_acknowledged_early_or_out_of_order(seed: int) -> None:
    asyncio.run(Group(seed).run(120))
