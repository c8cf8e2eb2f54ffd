"""Proves that a cabinet that is deleted now and then loses all that, and nothing else."""

from collections.abc import Iterator
from typing import Any

from kartoteka_contracts.ids import CabinetId, document_id
from kartoteka_contracts.tasks import TaskKind, TaskStatus
from tests.ledger.cabinets import DOOMED
from tests.ledger.findings import Finding, Kind
from tests.ledger.ledger import Intent, Ledger, Operation, Outcome, Verdict
from tests.ledger.rules import Rules

__all__ = ["DoomedChecker"]

_Found = Iterator[tuple[Kind, str]]


class DoomedChecker:
    """One check of one run. Each document is uploaded once.

    Args:
        ledger: what was asked and answered.
        rules: of every document, with what stands.
    """

    def __init__(self, ledger: Ledger, rules: Rules) -> None:
        self._rules = rules
        asked = [
            (intent, ledger.outcome(n))
            for n, intent in sorted(ledger.intents.items())
            if intent.cabinet == DOOMED
        ]
        self._uploads = [one for one in asked if one[0].operation is Operation.NEW]
        deletes = [one for one in asked if one[0].operation is Operation.DELETE_CABINET]
        self._deletes = [known for _, known in deletes if known.verdict is Verdict.OK]
        self._deleted = max((known.version for known in self._deletes), default=0)
        told = (task["version"] for task in rules.cabinet_tasks.values() if _is_delete(task))
        # Whoever was not answered may have deleted more.
        self._may_be_deleted = max(told, default=0)

    @property
    def deleted(self) -> int:
        """Up to which version everything of it is gone, for sure; 0 where nothing is."""
        return self._deleted

    @property
    def deletes(self) -> int:
        """How often the cabinet was deleted, for sure."""
        return len(self._deletes)

    def check(self) -> Iterator[Finding]:
        """Give everything that is wrong."""
        for known in self._deletes:
            for kind, detail in self._delete(known):
                yield Finding(kind=kind, cabinet=DOOMED, name="", detail=detail)
        for intent, known in self._uploads:
            for kind, detail in self._upload(intent, known):
                yield Finding(kind=kind, cabinet=DOOMED, name=intent.name, detail=detail)

    def _delete(self, known: Outcome) -> _Found:
        task = self._rules.cabinet_tasks.get(known.task_id)
        if task is None:
            yield Kind.LOST, f"no replica knows the delete {known.task_id}"
            return
        yield from self._rules.agreed(known.task_id, task)
        ends = {TaskStatus.SUCCEEDED}
        if known.version < self._may_be_deleted:
            ends.add(TaskStatus.SUPERSEDED)
        if TaskStatus(task["status"]).is_end and task["status"] not in ends:
            yield Kind.LOST, f"the delete {known.task_id} is {task['status']}: {task['error']}"

    def _upload(self, intent: Intent, known: Outcome) -> _Found:
        identity = document_id(CabinetId(DOOMED), intent.name)
        records = self._rules.evidence.records.get(identity, [])
        tasks = self._rules.tasks_of(identity)
        yield from self._rules.ends(tasks)
        yield from self._rules.points(DOOMED, identity)
        version = max(
            (record.version for record in records if record.kind != TaskKind.DELETE),
            default=known.version,
        )
        published = self._rules.evidence.manifests.get(identity, {}).get("published")
        if version and version <= self._deleted:
            if published is not None:
                yield Kind.RESURRECTED, f"deleted as of {self._deleted}, and {published} stands"
            yield from self._rules.remains(identity, records)
        elif known.verdict is Verdict.OK and known.version > self._may_be_deleted:
            yield from self._stands(intent, known, published, tasks)

    def _stands(
        self,
        intent: Intent,
        known: Outcome,
        published: dict[str, Any] | None,
        tasks: dict[str, dict[str, Any]],
    ) -> _Found:
        """Whatever was uploaded after the last delete is there."""
        if published is None or published["sha256"] != intent.sha256:
            yield Kind.LOST, f"operation {intent.n} is accepted, and {published} stands"
        if known.task_id not in tasks:
            yield Kind.LOST, f"operation {intent.n}: no replica knows {known.task_id}"


def _is_delete(task: dict[str, Any]) -> bool:
    return task["kind"] == TaskKind.DELETE and int(task["cabinet_id"]) == DOOMED
