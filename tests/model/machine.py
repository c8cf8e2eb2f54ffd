"""The state machine: what clients, faults and time may do, in any order."""

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

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
DOCUMENT: Final = st.sampled_from(DOCUMENTS)
TOPIC: Final = st.sampled_from([_INTERACTIVE, _INTERACTIVE, _BULK])
SENT: Final = st.sampled_from([True, True, True, True, False])
KIND: Final = st.sampled_from([1, 2, 3, 1, 2, 3, 0, "!encrypted", "?timeout"])
SECONDS: Final = st.sampled_from([1.0, 65.0, 300.0, 4000.0])
FATE: Final = st.sampled_from([Fate.FAIL, Fate.LOST])


class DocumentLife(RuleBasedStateMachine):
    """Everything that can happen to documents."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.bodies = 0

    # --- clients --------------------------------------------------------------------------------

    @initialize(document=DOCUMENT)
    def first_upload(self, document: Document) -> None:
        self.upload(document, 2, _INTERACTIVE, is_sent=True)

    @rule(document=DOCUMENT, kind=KIND, topic=TOPIC, is_sent=SENT)
    def upload(self, document: Document, kind: Any, topic: str, *, is_sent: bool) -> None:
        self.bodies += 1
        text = f"{document[0]}/{document[1]} body {self.bodies}"
        body = kind if isinstance(kind, str) else "\n".join(f"{text} #{n}" for n in range(kind))
        self._accept(document, body, {}, topic, is_sent=is_sent)

    @rule(document=DOCUMENT, topic=TOPIC, is_sent=SENT, says=st.sampled_from([None, 1, 2]))
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

    @rule(document=DOCUMENT, topic=TOPIC, is_sent=SENT)
    def delete(self, document: Document, topic: str, *, is_sent: bool) -> None:
        if any(_is_of(task, document) for task in self._uploads()):
            self._pass_a_moment()
            self.world.api.delete(document, topic, is_sent=is_sent)
            self._go_on()

    @rule(document=DOCUMENT, kind=KIND, topic=TOPIC)
    def replace(self, document: Document, kind: Any, topic: str) -> None:
        """Delete, and upload again at once."""
        self.delete(document, topic, is_sent=True)
        self.upload(document, kind, topic, is_sent=True)

    @rule(cabinet=st.sampled_from(CABINETS), topic=TOPIC, is_sent=SENT)
    def delete_cabinet(self, cabinet: Any, topic: str, *, is_sent: bool) -> None:
        self._pass_a_moment()
        self.world.api.delete_cabinet(cabinet, topic, is_sent=is_sent)
        self._go_on()

    @rule(pick=PICKS, topic=TOPIC, is_sent=SENT)
    def cancel(self, pick: int, topic: str, *, is_sent: bool) -> None:
        """Cancel one of the newest tasks, unless the view says that it has ended."""
        self.world.views[0].catch_up()
        known = self.world.views[0].tasks
        open_ = [
            task
            for task in self._uploads()
            if task.event.task_id in known and not known[task.event.task_id].status.is_end
        ]
        if open_:
            self._pass_a_moment()
            self.world.api.cancel(open_[-1 - pick % len(open_)], topic, is_sent=is_sent)
            self._go_on()

    @rule(document=DOCUMENT)
    def reindex(self, document: Document) -> None:
        self._pass_a_moment()
        self.world.api.reindex(document)
        self._go_on()

    @rule(pick=PICKS)
    def replay(self, pick: int) -> None:
        letters = [
            record
            for record in self.world.stores.log.on("documents.dlq")
            if (record.partition, record.offset) not in self.world.api.replayed
        ]
        if letters:
            self._pass_a_moment()
            self.world.api.replay(letters[pick % len(letters)])
            self._go_on()

    @rule(cabinet=st.sampled_from(CABINETS))
    def search(self, cabinet: Any) -> None:
        if len(self.world.others) < 3:
            self.world.read(cabinet)
            self._go_on()

    # --- work, in any order ---------------------------------------------------------------------

    @rule(which=PICKS, steps=st.integers(1, 30), stride=st.integers(0, 3))
    def work(self, which: int, steps: int, stride: int) -> None:
        self.world.step(which, steps, stride)
        self.world.glance()

    @rule(which=PICKS, steps=st.integers(1, 12), stride=st.integers(0, 3))
    def work_a_little(self, which: int, steps: int, stride: int) -> None:
        self.world.step(which, steps, stride)
        self.world.glance()

    @rule(rounds=st.integers(1, 40))
    def work_all(self, rounds: int) -> None:
        for n in range(rounds):
            for which in range(len(self.world.processes)):
                self.world.step(which, 1, n)

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.world.loop.advance(seconds)
        self.world.look()

    @rule()
    def commit(self) -> None:
        self.world.commit()

    @rule(which=PICKS, count=st.integers(1, 5), replica=st.integers(0, 1))
    def view(self, which: int, count: int, replica: int) -> None:
        self.world.views[replica].read(which, count)
        self.world.look()

    @rule(which=PICKS, count=st.integers(1, 5), replica=st.integers(0, 1))
    def view_again(self, which: int, count: int, replica: int) -> None:
        self.world.views[replica].rewind(which, count)

    # --- faults ---------------------------------------------------------------------------------

    @rule(which=PICKS, steps=st.integers(1, 12), stride=st.integers(0, 3), fate=FATE)
    def fail(self, which: int, steps: int, stride: int, fate: Fate) -> None:
        """Let a call fail, after some that do not: before it takes effect, or after it."""
        self.world.step(which, steps, stride, fate)

    @rule(which=PICKS)
    def crash(self, which: int) -> None:
        everybody = [*self.world.workers, *self.world.zombies]
        if everybody:
            self.world.crash(everybody[which % len(everybody)])
        if not self.world.workers:
            self.world.join()
        self._go_on()

    @precondition(lambda self: len(self.world.workers) < 2)
    @rule()
    def join(self) -> None:
        self.world.join()
        self._go_on()

    @rule(which=PICKS)
    def pause(self, which: int) -> None:
        """Let a worker be taken for dead; it works on when it is stepped."""
        if len(self.world.zombies) < 2:
            self.world.leave(self.world.workers[which % len(self.world.workers)])
            if not self.world.workers:
                self.world.join()
            self._go_on()

    @precondition(lambda self: self.world.zombies)
    @rule(which=PICKS)
    def rejoin(self, which: int) -> None:
        self.world.rejoin(self.world.zombies[which % len(self.world.zombies)])
        self._go_on()

    @rule(is_committed=st.booleans())
    def rebalance(self, *, is_committed: bool) -> None:
        self.world.rebalance(commit=is_committed)
        self._go_on()

    @rule(what=st.sampled_from([INDEX, OBJECT_STORE, EVENT_LOG]))
    def outage(self, what: str) -> None:
        self.world.away.add(what)

    @precondition(lambda self: self.world.away)
    @rule()
    def outage_ends(self) -> None:
        self.world.away.clear()

    @rule(pick=PICKS)
    def duplicate(self, pick: int) -> None:
        """Let an event be there twice: its producer has repeated it."""
        log = self.world.stores.log
        records = log.on_jobs()
        if records:
            again = records[-1 - pick % len(records)]
            log.append(again.topic, again.key.decode(), again.value or b"", again.headers)
            self._go_on()

    @rule()
    def reconcile(self) -> None:
        if len(self.world.others) < 3:
            self.world.reconcile()
            self._go_on()

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
    ) -> None:
        self._pass_a_moment()
        self.world.api.upload(document, body, metadata, topic, is_sent=is_sent)
        self._go_on()

    def _pass_a_moment(self) -> None:
        self.world.loop.advance(0.001)

    def _go_on(self) -> None:
        self.world.loop.settle()
        self.world.look()


def _is_of(task: Accepted, document: Document) -> bool:
    event = task.event
    assert isinstance(event, DocumentSubmitted)
    return (event.cabinet_id, event.external_id) == document
