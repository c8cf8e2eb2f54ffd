"""A replica's view of tasks: its own reading and rule, fed in any order, any number of times."""

from typing import Final

from embedder.domain.window import Place
from ingest_api.adapters.log_records import BatchBuilder
from ingest_api.domain.task import Task, merged
from kartoteka_contracts.ids import TaskId
from kartoteka_contracts.topics import TOPICS, Service
from tests.model.memory_log import MemoryLog, Stored

__all__ = ["View"]

_TOPICS: Final = frozenset(
    topic.name for topic in TOPICS.values() if Service.VIEW in topic.consumers
)


class View:
    """Tasks, by what was read so far. Each partition is read in order, and sometimes again."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._positions: dict[Place, int] = {}
        self.tasks: dict[TaskId, Task] = {}
        self.violations: list[str] = []

    def read(self, pick: int, count: int) -> None:
        """Read some records of one partition."""
        places = sorted(place for place in self._log.records if place.topic in _TOPICS)
        if not places:
            return
        place = places[pick % len(places)]
        at = self._positions.get(place, 0)
        found = self._log.records[place][at : at + count]
        self._positions[place] = at + len(found)
        for record in found:
            self._apply(record)

    def rewind(self, pick: int, count: int) -> None:
        """Read some records of one partition again, later."""
        places = sorted(self._positions)
        if places:
            place = places[pick % len(places)]
            self._positions[place] = max(0, self._positions[place] - count)

    def catch_up(self) -> None:
        """Read all there is."""
        for pick in range(len(self._log.records)):
            self.read(pick, 1 << 30)

    def _apply(self, record: Stored) -> None:
        builder = BatchBuilder()
        builder.add(record)
        if builder.unreadable:
            self.violations.append(f"the view cannot read {builder.unreadable}")
        for seen in builder.tasks:
            old = self.tasks.get(seen.task.task_id)
            new = merged(old, seen.task)
            if old is not None:
                self._compare(old, new)
            self.tasks[new.task_id] = new

    def _compare(self, old: Task, new: Task) -> None:
        if old.status.is_end and (new.status, new.result, new.error) != (
            old.status,
            old.result,
            old.error,
        ):
            self.violations.append(f"P5: {old.status} became {new.status}: {old.task_id}")
        elif new.order < old.order:
            self.violations.append(f"P5: {old.order} went back to {new.order}: {old.task_id}")
