"""What holds of every document's tasks and points, wherever its content comes from."""

from collections.abc import Iterator, Mapping
from typing import Any

from kartoteka_contracts.tasks import DocumentState, TaskKind, TaskStatus
from tests.ledger.evidence import Evidence, Record
from tests.ledger.findings import Kind
from tests.ledger.ledger import Ledger

__all__ = ["Rules"]

_Found = Iterator[tuple[Kind, str]]


class Rules:
    """The rules, and what they are held against.

    Args:
        ledger: what was asked, and done to files.
        evidence: what stands.
        of_files: cabinet that files belong to.
        has_reconcile: whether orphans were swept before, so that none may be left.
    """

    def __init__(
        self, ledger: Ledger, evidence: Evidence, *, of_files: int, has_reconcile: bool
    ) -> None:
        self.evidence = evidence
        self.orphans = 0
        """Works whose points wait for a reconciliation."""
        self._has_reconcile = has_reconcile
        self._cabinets = {
            intent.canary: intent.cabinet for intent in ledger.intents.values() if intent.canary
        } | {change.canary: of_files for change in ledger.changes if change.canary}
        self._tasks_of: dict[str | None, dict[str, dict[str, Any]]] = {}
        for tasks in evidence.tasks.values():
            for task_id, task in tasks.items():
                self._tasks_of.setdefault(task["document_id"], {}).setdefault(task_id, task)

    def tasks_of(self, identity: str) -> dict[str, dict[str, Any]]:
        """Return the tasks of a document that any replica knows."""
        return self._tasks_of.get(identity, {})

    @property
    def cabinet_tasks(self) -> dict[str, dict[str, Any]]:
        """Tasks that are about no one document: runs, and deletes of whole cabinets."""
        return self._tasks_of.get(None, {})

    def ends(self, tasks: Mapping[str, dict[str, Any]]) -> _Found:
        """Every task of a document has one end, the same for everybody."""
        newest = max((task["version"] for task in tasks.values()), default=0)
        of_newest = [task for task in tasks.values() if task["version"] == newest]
        # A run indexes a version once more, and so does a replay: both supersede what was before.
        is_overtaken = any(task["status"] != TaskStatus.SUPERSEDED for task in of_newest)
        for task_id, task in tasks.items():
            status = TaskStatus(task["status"])
            what = f"task {task_id}, version {task['version']}"
            yield from self.agreed(task_id, task)
            if status is TaskStatus.SUPERSEDED and task["version"] == newest and not is_overtaken:
                yield Kind.LOST, f"{what} is superseded by nothing"
            elif status is TaskStatus.FAILED and task_id not in self.evidence.letters:
                yield Kind.LOST, f"{what} failed, and there is no dead letter of it"

    def agreed(self, task_id: str, task: Mapping[str, Any]) -> _Found:
        """A task has ended, and all replicas say how."""
        what = f"{task['kind']} task {task_id}, version {task['version']}"
        known = self.evidence.tasks.values()
        said = {view[task_id]["status"] for view in known if task_id in view}
        if len(said) > 1:
            yield Kind.REGRESSED, f"{what}: the replicas say {sorted(said)}"
        if not TaskStatus(task["status"]).is_end:
            yield Kind.STUCK, f"{what} is still {task['status']} ({task['stage']})"

    def remains(self, identity: str, records: list[Record]) -> _Found:
        """A delete leaves no points, no bodies and no words."""
        points = self.evidence.points.get(identity, [])
        if points:
            yield Kind.RESURRECTED, f"deleted, and {len(points)} points are there"
        named = {record.body_key for record in records if record.kind != TaskKind.DELETE}
        bodies = sorted(named.intersection(self.evidence.bodies.get(identity, [])))
        if bodies:
            yield Kind.RESURRECTED, f"deleted, and {len(bodies)} bodies are there: {bodies[:3]}"
        state = self.evidence.states.get(identity)
        if state not in {None, "unknown", DocumentState.DELETED}:
            yield Kind.RESURRECTED, f"deleted, and the API says {state}"

    def points(self, cabinet: int, identity: str) -> _Found:
        """What is published is there, all of it, and nothing else."""
        published = self.evidence.manifests.get(identity, {}).get("published")
        work = (published["version"], published["epoch"]) if published else None
        mine: set[int] = set()
        strays: set[tuple[int, int]] = set()
        for point in self.evidence.points.get(identity, []):
            if (point.version, point.epoch) == work:
                mine.add(point.n)
            else:
                strays.add((point.version, point.epoch))
            if point.cabinet != cabinet:
                yield Kind.LEAKED, f"a point of it is cabinet {point.cabinet}'s"
        self.orphans += len(strays)
        if strays and self._has_reconcile:
            yield Kind.ORPHANED, f"points of {sorted(strays)}, published is {work}"
        if published and mine != set(range(published["chunks"])):
            yield Kind.MISSING, f"{len(mine)} of {published['chunks']} chunks of {work} are there"

    def hits(self, cabinet: int, identity: str) -> _Found:
        """A search for a document's words finds it, and nothing of another."""
        published = self.evidence.manifests.get(identity, {}).get("published")
        hits = self.evidence.hits.get(identity)
        if hits is None:
            return  # of so many documents, not every one was searched for
        if published and published["chunks"] and not hits:
            yield Kind.MISSING, "it is published, and no search finds it"
        for found, version, canaries in hits:
            foreign = {word for word in canaries if self._cabinets.get(word) != cabinet}
            if found != identity or foreign:
                yield Kind.LEAKED, f"a search answers with {found}, {sorted(foreign)}"
            elif not published or version != published["version"]:
                yield Kind.STALE, f"a search answers with version {version}"
