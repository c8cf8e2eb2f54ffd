"""Eyes on the tasks: both replicas are asked all the time, and may only ever go forward."""

import asyncio
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

from kartoteka_contracts.tasks import Stage, TaskKind, TaskStatus, rank
from tests.ledger.book import Accepted, Book
from tests.ledger.documents import CANARY
from tests.ledger.findings import Finding, Findings, Kind
from tests.ledger.ledger import Ledger
from tests.ledger.replica import Replica

__all__ = ["Watch"]

_ROUND_SECONDS: Final = 0.4
_SINGLE_READS: Final = 6
"""Tasks read one by one in a round: oldest first, so that none is forgotten."""
_LISTED: Final = 200
_GONE: Final = 404
_SEARCH_SHARE: Final = 0.3
_SEARCHES: Final = 3
_TRIES: Final = 40

_Place = tuple[int, int, str]


class Watch:
    """Reads tasks until cancelled; tells who asks when one has ended.

    Args:
        book: whose tasks to follow.
        replicas: each is read by itself, since one may lag behind the other.
        cabinets: whose tasks are listed.
        findings: what is found goes here.
        on_success: called with a task that has come to a good end, once.
    """

    def __init__(
        self,
        book: Book,
        replicas: list[Replica],
        cabinets: tuple[int, ...],
        findings: Findings,
        on_success: Callable[[Accepted], None],
    ) -> None:
        self._book = book
        self._ledger: Ledger = book.ledger
        self._replicas = replicas
        self._cabinets = cabinets
        self._findings = findings
        self._on_success = on_success
        self._places: dict[tuple[str, str], _Place] = {}
        self._ends: dict[str, str] = {}
        self._searching: set[asyncio.Task[None]] = set()
        self._random = Random("what is searched for")
        self.observations = 0
        self.searches = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for replica in self._replicas:
                group.create_task(self._follow(replica))

    async def close(self) -> None:
        """Wait for the searches that are under way."""
        await asyncio.gather(*self._searching)

    async def _follow(self, replica: Replica) -> None:
        turn = 0
        while True:
            cabinet = self._cabinets[turn % len(self._cabinets)]
            turn += 1
            answer = await replica.get("/rag/tasks", cabinet=cabinet, limit=_LISTED)
            if answer is not None and answer.is_success:
                for task in answer.json()["tasks"]:
                    self._observe(replica, task)
            for task_id in list(self._book.open_tasks)[:_SINGLE_READS]:
                answer = await replica.get(f"/rag/task/{task_id}")
                if answer is not None and answer.is_success:
                    self._observe(replica, answer.json())
            await self._read_others(replica)
            await asyncio.sleep(_ROUND_SECONDS)

    async def _read_others(self, replica: Replica) -> None:
        others = list(self._book.open_others)
        for task_id in self._random.sample(others, min(_SINGLE_READS, len(others))):
            answer = await replica.get(f"/rag/task/{task_id}")
            if answer is not None and answer.is_success:
                self._observe(replica, answer.json())
            elif answer is not None and answer.status_code == _GONE:
                # Its document was deleted meanwhile. The check asks for all runs once more.
                self._book.noticed(task_id, has_ended=True)

    def _observe(self, replica: Replica, task: dict[str, Any]) -> None:
        self.observations += 1
        task_id, status = str(task["task_id"]), TaskStatus(task["status"])
        stage = None if task["stage"] is None else Stage(task["stage"])
        place = (_attempt(task), rank(status, stage), str(status))
        self._book.noticed(task_id, has_ended=status.is_end)
        before = self._places.get((replica.name, task_id))
        if before == place:
            return
        self._places[replica.name, task_id] = place
        self._ledger.note(
            "status",
            replica=replica.name,
            task_id=task_id,
            status=status,
            stage=stage,
            attempt=task["attempt"],
        )
        if before is not None and _went_back(before, place):
            self._regressed(task, f"{replica.name} said {before}, then {place}")
        if status.is_end:
            self._ended(replica, task)

    def _ended(self, replica: Replica, task: dict[str, Any]) -> None:
        task_id, status = task["task_id"], task["status"]
        first = self._ends.setdefault(task_id, status)
        if first != status:
            self._regressed(task, f"it ended as {first}, and for {replica.name} as {status}")
        accepted = self._book.ended(task_id, status)
        if accepted is None or status not in {TaskStatus.SUCCEEDED, TaskStatus.UNCHANGED}:
            return
        self._on_success(accepted)
        is_chosen = self._random.random() < _SEARCH_SHARE and len(self._searching) < _SEARCHES
        if accepted.intent.canary and is_chosen and not accepted.document.is_uncertain:
            search = asyncio.create_task(self._search(accepted, task_id))
            self._searching.add(search)
            search.add_done_callback(self._searching.discard)

    async def _search(self, accepted: Accepted, task_id: str) -> None:
        """After ``succeeded`` a search finds it, by any replica, and nothing older."""
        intent, document = accepted.intent, accepted.document
        if document.task_id != task_id:
            return
        changes = document.changes
        for n in range(_TRIES):
            replica = self._replicas[n % len(self._replicas)]
            answer = await replica.search(
                intent.cabinet, intent.canary, document=document.document_id
            )
            if document.changes != changes:
                return  # something newer is under way, so what is seen now proves nothing
            if answer is not None and answer.is_success:
                self.searches += 1
                self._judge(accepted, [hit["text"] for hit in answer.json()["hits"]])
                return
            await asyncio.sleep(0.5)

    def _judge(self, accepted: Accepted, texts: list[str]) -> None:
        intent = accepted.intent
        words = {word for text in texts for word in CANARY.findall(text)}
        if intent.canary not in words:
            self._find(Kind.MISSING, accepted, f"{intent.canary} succeeded and is not found")
        if words - {intent.canary}:
            others = sorted(words - {intent.canary})
            self._find(Kind.STALE, accepted, f"{others} are found beside {intent.canary}")

    def _find(self, kind: Kind, accepted: Accepted, detail: str) -> None:
        intent = accepted.intent
        self._findings.add(
            Finding(kind=kind, cabinet=intent.cabinet, name=intent.name, detail=detail)
        )

    def _regressed(self, task: dict[str, Any], detail: str) -> None:
        self._findings.add(
            Finding(
                kind=Kind.REGRESSED,
                cabinet=int(task["cabinet_id"]),
                name=str(task.get("external_id")),
                detail=f"task {task['task_id']}: {detail}",
            )
        )

    @property
    def _left(self) -> int:
        return len(self._book.open_tasks) + len(self._book.open_others)

    async def all_ended(self, *, within: float, quiet: float) -> float:
        """Wait until no task is open that is known; returns the seconds that it took.

        Raises nothing: what is open after ``within`` seconds, or when none has ended for ``quiet``
        seconds, is the checker's to tell.
        """
        begun = moved = time.monotonic()
        left = self._left
        while left and time.monotonic() < min(begun + within, moved + quiet):
            await asyncio.sleep(_ROUND_SECONDS)
            if self._left < left:
                moved = time.monotonic()
            left = self._left
        return time.monotonic() - begun


def _attempt(task: dict[str, Any]) -> int:
    """Return the try that a task is at. A run is planned in tries; once it goes on, it has none."""
    is_run_going_on = task["kind"] == TaskKind.REINDEX and task["result"] is not None
    return sys.maxsize if is_run_going_on else int(task["attempt"])


def _went_back(before: _Place, now: _Place) -> bool:
    was_end = TaskStatus(before[2]).is_end
    return (was_end and before[2] != now[2]) or (not was_end and now[:2] < before[:2])
