"""What must hold once faults have stopped and everything has come to rest."""

from collections.abc import Iterator

from kartoteka_contracts.events import CabinetDeletionRequested, DocumentSubmitted
from kartoteka_contracts.ids import document_id
from kartoteka_contracts.keys import body_prefix, record_prefix, record_version
from kartoteka_contracts.records import DocumentRecord, read_record
from kartoteka_contracts.tasks import TaskStatus
from tests.model.api import DOCUMENTS, Accepted, Document
from tests.model.promises import Standing, expected
from tests.model.world import World

__all__ = ["come_to_rest"]

_TWO_DAYS = 2 * 86_400.0
_RECONCILIATIONS = 3
"""What waits in a topic is left to the next one, such as an upload behind a cabinet's delete."""
_SETTLED = frozenset({TaskStatus.SUCCEEDED, TaskStatus.EMPTY, TaskStatus.UNCHANGED})
_SHOWING = frozenset({"published", "unchanged"})
_EFFECTIVE = _SHOWING | {"empty", "deleted"}
"""Outcomes that say what is visible; the others keep what was."""


def come_to_rest(world: World) -> None:
    """End all faults, finish all work, reconcile, deliver everything once more; check each."""
    world.away.clear()
    world.until_quiet()
    for zombie in list(world.zombies):
        world.crash(zombie)
    if not world.workers:
        world.join()
    world.until_quiet()
    for _ in range(_RECONCILIATIONS):
        world.loop.advance(_TWO_DAYS)
        world.reconcile()
        world.until_quiet()
    Rest(world).check()
    _deliver_again(world)


def _deliver_again(world: World) -> None:
    """P3: deliver every event there ever was once more, to a worker that remembers nothing."""
    rest = Rest(world)
    if any(rest.is_unnoted(task) for task in world.api.tasks.values()):
        return  # what could not even be recorded as failed is tried anew, as it should be
    before = world.snapshot()
    statuses = {id_: task.status for id_, task in world.views[0].tasks.items()}
    records = world.stores.log.on_jobs()
    world.restart()
    world.stores.log.committed.clear()
    world.rebalance(commit=False)
    world.until_quiet()
    for record in records:
        world.workers[0].redo(record)
    after = world.snapshot()
    for part in before:
        assert before[part] == after[part], f"P3: {part} were {before[part]}, are {after[part]}"
    world.views[0].catch_up()
    world.look()
    now = {id_: task.status for id_, task in world.views[0].tasks.items()}
    assert statuses == now, f"P5: {statuses} became {now}"


def document_of(task: Accepted) -> str | None:
    """Return the document of a task; None where it is about a cabinet."""
    event = task.event
    return None if isinstance(event, CabinetDeletionRequested) else event.document_id


class Rest:
    """The checks of one world at rest."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._promises = world.promises
        for view in world.views:
            view.catch_up()
        world.look()

    def check(self) -> None:
        """Raise where anything is not as promised."""
        self._check_tasks()
        for task in self._world.api.tasks.values():
            self._check_superseded(task)
        for document in DOCUMENTS:
            self._check_document(document)
        self._check_orphans()

    def is_unnoted(self, task: Accepted) -> bool:
        """Whether a task failed for want of stores, so that nothing stands about it."""
        if self._end(task) is not TaskStatus.FAILED:
            return False
        event = task.event
        if not isinstance(event, DocumentSubmitted):
            return True
        stands = self._promises.standing.get(event.document_id)
        return stands is None or stands.fence < task.order

    def _end(self, task: Accepted) -> TaskStatus | None:
        seen = self._world.views[0].tasks.get(task.event.task_id)
        return None if seen is None else seen.status

    def _check_tasks(self) -> None:
        first, second = self._world.views
        for task_id, task in self._world.api.tasks.items():
            seen = first.tasks.get(task_id)
            if task.is_sent:
                assert seen is not None, f"P1: {task_id} is in no topic"
                assert seen.status.is_end, f"P2: {task_id} is {seen.status}"
            other = second.tasks.get(task_id)
            assert (seen and seen.status) == (other and other.status), f"P5: {seen} and {other}"

    def _check_superseded(self, task: Accepted) -> None:
        """P4: only newer work supersedes."""
        if set(self._promises.ends[task.event.task_id]) != {TaskStatus.SUPERSEDED}:
            return
        others = self._world.api.tasks.values()
        cabinet, key = task.event.cabinet_id, document_of(task)
        assert any(
            other.order > task.order
            and other.event.cabinet_id == cabinet
            and (key is None or document_of(other) in {None, key})
            for other in others
        ), f"P4: nothing is newer than the superseded {task.event}"

    def _check_document(self, document: Document) -> None:
        key = document_id(*document)
        works = list(self._works(document))
        if not works:
            return
        newest = max(works, key=lambda task: task.order)
        stands = self._promises.standing.get(key)
        if any(self.is_unnoted(task) for task in works):
            return
        assert stands is not None, f"P1: nothing is decided about {document}"
        assert stands.fence == newest.order, (
            f"P4: {document} stands at {stands.fence}, the newest is {newest.order}"
        )
        self._check_visible(document, works, stands)
        self._check_bodies(document, stands)

    def _works(self, document: Document) -> Iterator[Accepted]:
        """Give the work that must be decided about a document."""
        key = document_id(*document)
        prefix = record_prefix(document[0], key)
        versions = [record_version(one) or 0 for one in self._world.stores.objects.keys(prefix)]
        for task in self._world.api.tasks.values():
            event = task.event
            if isinstance(event, CabinetDeletionRequested):
                has_older = any(version < event.version for version in versions)
                if event.cabinet_id == document[0] and has_older and self._end(task) is not None:
                    yield task
            elif event.document_id == key and (
                # Reconciliation may have sent what was the newest then.
                task.is_sent or self._end(task) is not None or event.version == max(versions)
            ):
                yield task

    def _check_visible(self, document: Document, works: list[Accepted], stands: Standing) -> None:
        """P4, P6: visible is what the newest work made of it that neither failed nor was cancelled.

        That is a decision's, not a status's: its own event may have been superseded since, before
        the status was sent.
        """
        key, visible = document_id(*document), stands.published
        decided = self._promises.decided[key]
        for task in works:
            if self._end(task) in _SETTLED and isinstance(task.event, DocumentSubmitted):
                assert decided.get(task.order) in _EFFECTIVE, f"P6: {task.event} is not decided"
        deletes = [one.event.version for one in self._promises.deletes(key) if one in works]
        newest = max((one for one in decided if decided[one] in _EFFECTIVE), default=(0, 0))
        shows = decided.get(newest) in _SHOWING and newest[0] > max(deletes, default=0)
        if not shows:
            assert visible is None, f"P4: {document} shows {visible} after {newest}, {deletes}"
            return
        assert visible is not None, f"P6: {document} {newest} is not visible"
        if decided[newest] == "published":
            assert visible == newest, f"P4: {document} shows {visible}, not {newest}"
        asked = [expected(task) for task in self._promises.works(key, newest)]
        shown = [expected(task) for task in self._promises.works(key, visible)]
        assert any(one in asked for one in shown), f"P4: {document} shows {visible}, not {newest}"

    def _check_bodies(self, document: Document, stands: Standing) -> None:
        """P8: a delete removes bodies; and what is published can be indexed anew from its own."""
        objects, key = self._world.stores.objects, document_id(*document)
        bodies = set(objects.keys(body_prefix(document[0], key)))
        for name in objects.keys(record_prefix(document[0], key)):
            version = record_version(name)
            record = None if version is None else read_record(objects.get(name))
            if not isinstance(record, DocumentRecord):
                continue
            if stands.outcome == "deleted":
                is_left = record.body_key in bodies and record.version <= stands.fence[0]
                assert not is_left, f"P8: {record.body_key} outlives {stands.fence}"
            if stands.published is not None and record.version == stands.affirmed:
                assert record.body_key in bodies, f"P1: {record.body_key} is gone"

    def _check_orphans(self) -> None:
        for (document, work), chunks in self._promises.chunks().items():
            published = self._promises.published(document)
            assert published == work, f"P8: {document} {work} has {len(chunks)} orphans"
