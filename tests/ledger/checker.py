"""Proves P1 to P8: compares the clients' book with what stands. Pure: reads nothing itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kartoteka_contracts.ids import CabinetId, document_id
from kartoteka_contracts.tasks import TaskKind, TaskStatus
from tests.ledger.cabinets import DOOMED
from tests.ledger.evidence import Record
from tests.ledger.findings import Finding, Kind
from tests.ledger.ledger import Intent, Ledger, Operation, Outcome, Verdict
from tests.ledger.rules import Rules

__all__ = ["Checker", "Content"]

Content = tuple[str, str, tuple[tuple[str, Any], ...]]
"""sha256, file name and metadata: what a reader gets of a document, or None for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What was asked of one document, and answered."""

    cabinet: int
    name: str
    identity: str
    changes: tuple[tuple[Intent, Outcome], ...]
    """Uploads and deletes, in the order in which they were asked."""

    @property
    def accepted(self) -> list[tuple[Intent, Outcome]]:
        return [(asked, known) for asked, known in self.changes if known.verdict is Verdict.OK]

    @property
    def uncertain(self) -> list[Intent]:
        return [asked for asked, known in self.changes if known.verdict is Verdict.UNKNOWN]


class Checker:
    """One check of one run.

    Args:
        ledger: what was asked and answered.
        rules: of every document, with what stands.
    """

    def __init__(self, ledger: Ledger, rules: Rules) -> None:
        self._rules = rules
        self._evidence = rules.evidence
        self._ledger = ledger
        self._cancels = {
            intent.task_id
            for intent in ledger.intents.values()
            if intent.operation is Operation.CANCEL
        }

    def check(self) -> Iterator[Finding]:
        """Give everything that is wrong."""
        for asked in self._asked():
            for kind, detail in self._document(asked):
                yield Finding(kind=kind, cabinet=asked.cabinet, name=asked.name, detail=detail)

    def _asked(self) -> Iterator[_Asked]:
        by_document: dict[tuple[int, str], list[tuple[Intent, Outcome]]] = {}
        for n, intent in sorted(self._ledger.intents.items()):
            if intent.cabinet == DOOMED:
                continue  # what is deleted with its cabinet has rules of its own
            if intent.operation.is_upload or intent.operation is Operation.DELETE:
                place = by_document.setdefault((intent.cabinet, intent.name), [])
                place.append((intent, self._ledger.outcome(n)))
        for (cabinet, name), changes in by_document.items():
            identity = document_id(CabinetId(cabinet), name)
            yield _Asked(cabinet=cabinet, name=name, identity=identity, changes=tuple(changes))

    def _document(self, asked: _Asked) -> Iterator[tuple[Kind, str]]:
        yield from self._versions(asked)
        yield from self._keys(asked)
        yield from self._records(asked)
        tasks = self._rules.tasks_of(asked.identity)
        yield from self._known(asked, tasks)
        yield from self._rules.ends(tasks)
        yield from self._causes(asked, tasks)
        yield from self._standing(asked, tasks)
        yield from self._rules.points(asked.cabinet, asked.identity)
        yield from self._rules.hits(asked.cabinet, asked.identity)

    def _versions(self, asked: _Asked) -> Iterator[tuple[Kind, str]]:
        """Requests that did not overlap have versions in their order."""
        newest = 0
        for intent, outcome in asked.accepted:
            if outcome.version and outcome.version <= newest:
                yield (
                    Kind.STALE,
                    f"operation {intent.n} got version {outcome.version}, not above {newest}",
                )
            newest = max(newest, outcome.version)

    def _keys(self, asked: _Asked) -> Iterator[tuple[Kind, str]]:
        """However often a request with a key is sent: it is one task."""
        for intent, _ in asked.changes:
            tries = self._ledger.outcomes.get(intent.n, [])
            answers = {(known.task_id, known.version) for known in tries if known.task_id}
            if len(answers) > 1:
                yield Kind.TWIN, f"operation {intent.n} with one key led to {sorted(answers)}"

    def _records(self, asked: _Asked) -> Iterator[tuple[Kind, str]]:
        """Object storage has what was accepted, and nothing that nobody asked for."""
        records = {record.task_id: record for record in self._found(asked)}
        for intent, outcome in asked.accepted:
            record = records.pop(outcome.task_id, None)
            if record is None:
                yield Kind.LOST, f"operation {intent.n}, task {outcome.task_id}: no record"
            elif intent.operation.is_upload and _content(record) != _intended(intent):
                yield Kind.LOST, f"operation {intent.n}: its record says {_content(record)}"
        left = list(asked.uncertain)
        for record in records.values():
            match = next((intent for intent in left if _could_be(intent, record)), None)
            if match is None:
                yield Kind.TWIN, f"task {record.task_id} was not asked for: {record.kind}"
            else:
                # Without a key a request is sent once; with one, its tries are one request.
                left.remove(match)

    def _found(self, asked: _Asked) -> list[Record]:
        return self._evidence.records.get(asked.identity, [])

    def _known(self, asked: _Asked, tasks: dict[str, dict[str, Any]]) -> Iterator[tuple[Kind, str]]:
        """Every replica knows every accepted task, but those of deleted versions."""
        deleted = self._deleted(asked, tasks)
        for intent, outcome in asked.accepted:
            for replica, known in self._evidence.tasks.items():
                if outcome.task_id not in known and outcome.version >= deleted:
                    yield Kind.LOST, f"operation {intent.n}: {replica} knows no {outcome.task_id}"
                elif (
                    outcome.task_id in known
                    and outcome.version < deleted
                    and intent.operation.is_upload  # a view keeps deletes: they are its proof
                ):
                    what = f"{replica} still knows task {outcome.task_id}"
                    yield Kind.RESURRECTED, f"deleted as of {deleted}, and {what}"

    def _causes(
        self, asked: _Asked, tasks: dict[str, dict[str, Any]]
    ) -> Iterator[tuple[Kind, str]]:
        """A good file does not fail, and nothing is cancelled that nobody cancelled."""
        for intent, outcome in asked.accepted:
            for task_id, task in tasks.items():
                is_again = task["version"] == outcome.version and intent.operation.is_upload
                if task_id != outcome.task_id and not is_again:
                    continue
                what = f"operation {intent.n}, task {task_id}"
                if task["status"] == TaskStatus.FAILED and intent.canary:
                    yield Kind.LOST, f"{what}, a good file, failed: {task['error']}"
                if task["status"] == TaskStatus.CANCELLED and task_id not in self._cancels:
                    yield Kind.LOST, f"{what} is cancelled, and nobody asked for that"

    def _standing(
        self, asked: _Asked, tasks: dict[str, dict[str, Any]]
    ) -> Iterator[tuple[Kind, str]]:
        """What is published is what the tasks' ends add up to."""
        manifest = self._evidence.manifests.get(asked.identity, {})
        newest = max((outcome.version for _, outcome in asked.accepted), default=0)
        if newest > manifest.get("fence", 0):
            yield Kind.LOST, f"version {newest} is accepted; decided is {manifest.get('fence', 0)}"
        allowed = self._allowed(asked, tasks)
        published = manifest.get("published")
        stands = None if published is None else _content_of(published)
        if stands in allowed:
            if allowed == {None} and self._was_deleted(asked, tasks):
                yield from self._rules.remains(asked.identity, self._found(asked))
            return
        if allowed == {None} and self._was_deleted(asked, tasks):
            yield Kind.RESURRECTED, f"deleted, and {stands} is published"
        elif stands is None:
            yield Kind.LOST, f"nothing is published, and it must be one of {allowed}"
        else:
            yield Kind.STALE, f"{stands} is published, and it must be one of {allowed}"

    def _allowed(self, asked: _Asked, tasks: dict[str, dict[str, Any]]) -> set[Content | None]:
        """Return what may be published: the work of all tasks, in the order of versions."""
        allowed: set[Content | None] = {None}
        for record in sorted(self._found(asked), key=lambda found: found.version):
            content = None if record.kind == TaskKind.DELETE else _content(record)
            for status in self._statuses(record, tasks):
                match status:
                    case TaskStatus.SUCCEEDED | TaskStatus.UNCHANGED:
                        allowed = {content}
                    case TaskStatus.EMPTY:
                        allowed = {None}
                    case TaskStatus.SUPERSEDED:
                        # It may have been published, and told so when something newer had come.
                        allowed |= {content}
                    case TaskStatus.FAILED | TaskStatus.CANCELLED:
                        pass
                    case _:
                        allowed |= {content}  # no end, or told to nobody: reported elsewhere
        return allowed

    def _statuses(
        self, record: Record, tasks: dict[str, dict[str, Any]]
    ) -> Iterator[TaskStatus | None]:
        """Give where the task of a version is, and then those that indexed it once more."""
        first = tasks.get(record.task_id)
        yield None if first is None else TaskStatus(first["status"])
        for task_id, task in tasks.items():
            if task_id != record.task_id and task["version"] == record.version:
                yield TaskStatus(task["status"])

    def _deleted(self, asked: _Asked, tasks: dict[str, dict[str, Any]]) -> int:
        """Return the version of the newest delete that succeeded; 0 where there is none."""
        return max(
            (
                record.version
                for record in self._found(asked)
                if record.kind == TaskKind.DELETE
                and tasks.get(record.task_id, {}).get("status") == TaskStatus.SUCCEEDED
            ),
            default=0,
        )

    def _was_deleted(self, asked: _Asked, tasks: dict[str, dict[str, Any]]) -> bool:
        """Return whether the newest work is a delete that succeeded."""
        last = max(self._found(asked), key=lambda record: record.version, default=None)
        if last is None or last.kind != TaskKind.DELETE:
            return False
        task = tasks.get(last.task_id)
        return task is not None and task["status"] == TaskStatus.SUCCEEDED


def _content(record: Record) -> Content:
    return (record.sha256, record.filename, tuple(sorted(record.metadata.items())))


def _content_of(published: dict[str, Any]) -> Content:
    metadata = tuple(sorted(published["metadata"].items()))
    return (published["sha256"], published["filename"], metadata)


def _intended(intent: Intent) -> Content:
    return (intent.sha256, intent.filename, tuple(sorted(intent.metadata.items())))


def _could_be(intent: Intent, record: Record) -> bool:
    if record.kind == TaskKind.DELETE:
        return intent.operation is Operation.DELETE
    return intent.operation.is_upload and _content(record) == _intended(intent)
