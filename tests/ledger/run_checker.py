"""Proves that every reindex run came to one end, for a reason. Pure: reads nothing itself."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from kartoteka_contracts.ids import CabinetId, run_task_id
from kartoteka_contracts.schedule import SPREAD
from kartoteka_contracts.tasks import TaskKind, TaskStatus
from tests.ledger.book import Book
from tests.ledger.cabinets import DOOMED, FOLDER
from tests.ledger.findings import Finding, Kind
from tests.ledger.ledger import Operation, Verdict
from tests.ledger.rules import Rules

__all__ = ["RunChecker", "RunWorld"]

_Found = Iterator[tuple[Kind, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWorld:
    """What runs may have met."""

    began: datetime
    ended: datetime
    cabinets: tuple[int, ...]
    deleted: int = 0
    """The version up to which the doomed cabinet is deleted."""
    times_away: int = 0
    """How often the folder was taken away."""
    times_empty: int = 0
    """Of those, how often it was empty instead."""


class RunChecker:
    """One check of one run of the ledger.

    Args:
        book: what answers named.
        rules: of every task, with what stands.
        world: what runs may have met.
    """

    def __init__(self, book: Book, rules: Rules, world: RunWorld) -> None:
        self._book = book
        self._rules = rules
        self._world = world
        self._scheduled = _slots(world)

    @property
    def ends(self) -> dict[str, int]:
        """Runs by how they ended; failed ones with their code."""
        found = Counter(
            f"failed: {task['error']['code']}"
            if task["status"] == TaskStatus.FAILED
            else str(task["status"])
            for task in self._runs.values()
        )
        return dict(sorted(found.items()))

    @property
    def scheduled(self) -> int:
        """How many of them a schedule asked for."""
        return sum(task_id in self._scheduled for task_id in self._runs)

    @property
    def _runs(self) -> dict[str, dict[str, Any]]:
        return {
            task_id: task
            for task_id, task in self._rules.cabinet_tasks.items()
            if task["kind"] == TaskKind.REINDEX
        }

    def check(self) -> Iterator[Finding]:
        """Give everything that is wrong."""
        yield from self._known()
        yield from self._asked_for()
        for task_id, task in self._runs.items():
            for kind, detail in self._run(task_id, task):
                yield _finding(kind, int(task["cabinet_id"]), f"run {task_id}: {detail}")

    def _known(self) -> Iterator[Finding]:
        """Every replica knows every run that an answer named, but those of a deleted cabinet."""
        for task_id, intent in self._book.runs.items():
            if intent.cabinet == DOOMED and _asked_at(task_id) < self._world.deleted:
                continue
            for replica, known in self._rules.evidence.tasks.items():
                if task_id not in known:
                    detail = f"operation {intent.n}: {replica} knows no run {task_id}"
                    yield _finding(Kind.LOST, intent.cabinet, detail)

    def _asked_for(self) -> Iterator[Finding]:
        """Whoever was not answered may have asked for one run more, and nobody else has."""
        ledger = self._book.ledger
        uncertain = Counter(
            intent.cabinet
            for n, intent in ledger.intents.items()
            if intent.operation is Operation.REINDEX
            and ledger.outcome(n).verdict is Verdict.UNKNOWN
        )
        others = Counter(
            int(task["cabinet_id"])
            for task_id, task in self._runs.items()
            if task_id not in self._book.runs and task_id not in self._scheduled
        )
        for cabinet, number in others.items():
            if number > uncertain[cabinet]:
                detail = f"{number} runs that nobody asked for, {uncertain[cabinet]} uncertain"
                yield _finding(Kind.TWIN, cabinet, detail)

    def _run(self, task_id: str, task: Mapping[str, Any]) -> _Found:
        yield from self._rules.agreed(task_id, task)
        result = task["result"] or {}
        match TaskStatus(task["status"]):
            case TaskStatus.SUCCEEDED:
                done = result["success"] + result["failed"] + result["overtaken"]
                if done != result["total"]:
                    yield Kind.LOST, f"{done} of {result['total']} documents are accounted for"
            case TaskStatus.UNCHANGED:
                if result["total"]:
                    yield Kind.LOST, f"it is unchanged, and had {result['total']} documents"
            case TaskStatus.SUPERSEDED:
                if result.get("joined") in {None, task_id}:
                    yield Kind.LOST, f"it joined no other run: {result}"
            case TaskStatus.FAILED:
                yield from self._failed(task)
            case TaskStatus.QUEUED | TaskStatus.RUNNING | TaskStatus.RETRYING:
                pass  # told by agreed
            case _:
                yield Kind.LOST, f"no run ends as {task['status']}"

    def _failed(self, task: Mapping[str, Any]) -> _Found:
        """A run fails where its folder is away, and of nothing else."""
        causes = {
            "source_unavailable": self._world.times_away,
            "vanish_guard": self._world.times_empty,
        }
        code = task["error"]["code"]
        if int(task["cabinet_id"]) != FOLDER or not causes.get(code):
            yield Kind.LOST, f"it failed: {task['error']}"


def _asked_at(task_id: str) -> int:
    """Return microseconds since the epoch; a task's id begins with its time."""
    return (UUID(task_id).int >> 80) * 1000


def _slots(world: RunWorld) -> set[str]:
    """Return the ids that runs have whose slots lie in the time of a run of the ledger."""
    slot = (world.began - SPREAD).astimezone(UTC).replace(second=0, microsecond=0)
    found: set[str] = set()
    while slot <= world.ended:
        found |= {run_task_id(CabinetId(cabinet), slot) for cabinet in world.cabinets}
        slot += timedelta(minutes=1)
    return found


def _finding(kind: Kind, cabinet: int, detail: str) -> Finding:
    return Finding(kind=kind, cabinet=cabinet, name="reindex", detail=detail)
