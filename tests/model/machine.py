"""The state machine: what clients, faults and time may do, in any order."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kartoteka_contracts.events import DocumentSubmitted
from tests.model.api import CABINETS, DOCUMENTS, Accepted, Document
from tests.model.process import Fate
from tests.model.quiescence import come_to_rest
from tests.model.worker import EVENT_LOG, INDEX, OBJECT_STORE
from tests.model.world import World

__all__ = ["DocumentLife"]

_INTERACTIVE: Final = "documents.interactive"
_BULK: Final = "documents.bulk"

PICKS: Final = st.integers(0, 7)
DOCUMENT: Final = st.sampled_from([DOCUMENTS[0], DOCUMENTS[0], *DOCUMENTS])
TOPIC: Final = st.sampled_from([_INTERACTIVE, _INTERACTIVE, _BULK])
SENT: Final = st.sampled_from([True, True, True, True, False])
KIND: Final = st.sampled_from([1, 2, 3, 2, 3, 0, "!encrypted", "!encrypted", "?timeout"])
SECONDS: Final = st.sampled_from([1.0, 65.0, 300.0, 4000.0])
FATE: Final = st.sampled_from([Fate.FAIL, Fate.LOST])


WORK: Final = st.tuples(
    PICKS, st.sampled_from([0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30]), st.integers(0, 3)
)
"""Which process goes on, how far, and in which order it does what it does at once."""


def act(**drawn: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a rule of which the last part is work: something must go on between any two events."""

    def decorate(action: Callable[..., None]) -> Callable[..., None]:
        @wraps(action)
        def acting(self: "DocumentLife", then: tuple[int, int, int], **values: Any) -> None:
            action(self, **values)
            self.world.loop.settle()
            self.world.look()
            self.world.step(*then)
            self.world.glance()

        marked: Callable[..., Any] = rule(then=WORK, **drawn)
        made: Callable[..., None] = marked(acting)
        return made

    return decorate


class DocumentLife(RuleBasedStateMachine):
    """Everything that can happen to documents."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.bodies = 0

    # --- clients --------------------------------------------------------------------------------

    @initialize(document=DOCUMENT)
    def first_upload(self, document: Document) -> None:
        self._upload(document, 2, _INTERACTIVE, is_sent=True)

    @act(document=DOCUMENT, kind=KIND, topic=TOPIC, is_sent=SENT)
    def upload(self, document: Document, kind: Any, topic: str, *, is_sent: bool) -> None:
        self._upload(document, kind, topic, is_sent=is_sent)

    @act(document=DOCUMENT, topic=TOPIC, is_sent=SENT, says=st.sampled_from([None, 1, 2]))
    def upload_again(
        self, document: Document, topic: str, says: int | None, *, is_sent: bool
    ) -> None:
        """Upload the bytes of the newest version: with the same metadata, or with other."""
        earlier = [task for task in self._uploads() if _is_of(task, document)]
        if earlier:
            last = earlier[-1]
            assert isinstance(last.event, DocumentSubmitted)
            metadata = dict(last.event.metadata) if says is None else {"says": says}
            self._accept(document, last.body, metadata, topic, is_sent=is_sent)

    @act(document=DOCUMENT, topic=TOPIC, is_sent=SENT)
    def delete(self, document: Document, topic: str, *, is_sent: bool) -> None:
        self._delete(document, topic, is_sent=is_sent)

    @act(document=DOCUMENT, kind=KIND, topic=TOPIC)
    def replace(self, document: Document, kind: Any, topic: str) -> None:
        """Delete, and upload again at once."""
        self._delete(document, topic, is_sent=True)
        self._upload(document, kind, topic, is_sent=True)

    @act(cabinet=st.sampled_from(CABINETS), topic=TOPIC, is_sent=SENT)
    def delete_cabinet(self, cabinet: Any, topic: str, *, is_sent: bool) -> None:
        self._pass_a_moment()
        self.world.api.delete_cabinet(cabinet, topic, is_sent=is_sent)

    @act(pick=PICKS, topic=TOPIC, is_sent=SENT)
    def cancel(self, pick: int, topic: str, *, is_sent: bool) -> None:
        """Cancel one of the newest tasks, unless the view, which may be late, knows its end."""
        known = self.world.views[0].tasks
        ended = {task_id for task_id, task in known.items() if task.status.is_end}
        open_ = [task for task in self._uploads() if task.event.task_id not in ended]
        if open_:
            self._pass_a_moment()
            self.world.api.cancel(open_[-1 - pick % len(open_)], topic, is_sent=is_sent)

    @act(document=DOCUMENT, kind=KIND, work=WORK, topic=TOPIC)
    def change_mind(
        self, document: Document, kind: Any, work: tuple[int, int, int], topic: str
    ) -> None:
        """Upload, and cancel a little later."""
        task = self._upload(document, kind, topic, is_sent=True)
        self.world.step(*work)
        self._pass_a_moment()
        self.world.api.cancel(task, topic, is_sent=True)

    @act(document=DOCUMENT)
    def reindex(self, document: Document) -> None:
        self._pass_a_moment()
        self.world.api.reindex(document)

    @act(pick=PICKS)
    def replay(self, pick: int) -> None:
        letters = [
            record
            for record in self.world.stores.log.on("documents.dlq")
            if (record.partition, record.offset) not in self.world.api.replayed
        ]
        if letters:
            self._pass_a_moment()
            self.world.api.replay(letters[pick % len(letters)])

    @act(cabinet=st.sampled_from(CABINETS))
    def search(self, cabinet: Any) -> None:
        if len(self.world.others) < 3:
            self.world.read(cabinet)

    # --- work, in any order ---------------------------------------------------------------------

    @rule(work=st.lists(WORK, min_size=1, max_size=4))
    def work(self, work: list[tuple[int, int, int]]) -> None:
        for one in work:
            self.world.step(*one)
            self.world.glance()

    @rule(rounds=st.integers(1, 60), seconds=SECONDS)
    def work_all(self, rounds: int, seconds: float) -> None:
        for n in range(rounds):
            for which in range(len(self.world.processes)):
                self.world.step(which, 1, n)
        self.world.glance()
        self.world.loop.advance(seconds)
        self.world.look()

    @act(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.world.loop.advance(seconds)

    @act(which=PICKS, count=st.integers(1, 5), replica=st.integers(0, 1), again=PICKS)
    def view(self, which: int, count: int, replica: int, again: int) -> None:
        """Let a view read on, and sometimes read again what it has read."""
        self.world.views[replica].read(which, count)
        if again > 3:
            self.world.views[replica].rewind(again, count)

    # --- faults ---------------------------------------------------------------------------------

    @act(work=WORK, fate=FATE)
    def fail(self, work: tuple[int, int, int], fate: Fate) -> None:
        """Let a call fail, after some that do not: before it takes effect, or after it."""
        self.world.step(*work, fate)

    @act(which=PICKS)
    def crash(self, which: int) -> None:
        everybody = [*self.world.workers, *self.world.zombies]
        self.world.crash(everybody[which % len(everybody)])
        if not self.world.workers:
            self.world.join()

    @act(which=PICKS)
    def pause(self, which: int) -> None:
        """Let a worker be taken for dead, which works on when it is stepped; or find out."""
        zombies, workers = self.world.zombies, self.world.workers
        if zombies and (which > 3 or len(zombies) > 1):
            self.world.rejoin(zombies[which % len(zombies)])
            return
        self.world.leave(workers[which % len(workers)])
        if not workers:
            self.world.join()

    @act(is_committed=st.booleans())
    def rebalance(self, *, is_committed: bool) -> None:
        """Let a worker join where there is room, or share out the partitions anew."""
        if len(self.world.workers) < 2:
            self.world.join()
        else:
            self.world.rebalance(commit=is_committed)

    @act(what=st.sampled_from([INDEX, OBJECT_STORE, EVENT_LOG]), work=WORK, lasts=PICKS)
    def outage(self, what: str, work: tuple[int, int, int], lasts: int) -> None:
        """Let a store be away, or the log: for a while, or until the next outage ends."""
        self.world.away.add(what)
        self.world.step(*work)
        if lasts < 6:
            self.world.away.clear()
            self.world.loop.advance(20.0)

    @act(pick=PICKS)
    def duplicate(self, pick: int) -> None:
        """Let an event be there twice: its producer has repeated it."""
        log = self.world.stores.log
        records = log.on_jobs()
        if records:
            again = records[-1 - pick % len(records)]
            log.append(again.topic, again.key.decode(), again.value or b"", again.headers)

    @act()
    def reconcile(self) -> None:
        if len(self.world.others) < 3:
            self.world.reconcile()

    # --- the end --------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            come_to_rest(self.world)
        finally:
            self.world.close()

    # --- small things ---------------------------------------------------------------------------

    def _uploads(self) -> list[Accepted]:
        return [
            task
            for task in self.world.api.tasks.values()
            if isinstance(task.event, DocumentSubmitted)
        ]

    def _accept(
        self, document: Document, body: str, metadata: dict[str, Any], topic: str, *, is_sent: bool
    ) -> Accepted:
        self._pass_a_moment()
        return self.world.api.upload(document, body, metadata, topic, is_sent=is_sent)

    def _pass_a_moment(self) -> None:
        self.world.loop.advance(0.001)

    def _upload(self, document: Document, kind: Any, topic: str, *, is_sent: bool) -> Accepted:
        self.bodies += 1
        text = f"{document[0]}/{document[1]} body {self.bodies}"
        body = kind if isinstance(kind, str) else "\n".join(f"{text} #{n}" for n in range(kind))
        return self._accept(document, body, {}, topic, is_sent=is_sent)

    def _delete(self, document: Document, topic: str, *, is_sent: bool) -> None:
        if any(_is_of(task, document) for task in self._uploads()):
            self._pass_a_moment()
            self.world.api.delete(document, topic, is_sent=is_sent)


def _is_of(task: Accepted, document: Document) -> bool:
    event = task.event
    assert isinstance(event, DocumentSubmitted)
    return (event.cabinet_id, event.external_id) == document
