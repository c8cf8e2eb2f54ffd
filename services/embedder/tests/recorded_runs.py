"""Reindex runs that only note what they are asked for, and answer as a test says."""

from embedder.domain.job import Lease, RunEvent
from embedder.domain.outcome import Continued, Outcome, RunFailed
from kartoteka_contracts.reindex import ReindexRequested, RunContinued, RunResult


class RecordedRuns:
    """Stands in for the planner."""

    def __init__(self, answer: Outcome | Exception | None = None) -> None:
        self.answer = answer or Continued()
        self.asked: list[RunEvent] = []
        self.given_up: list[tuple[str, str]] = []
        self.refuses_end = False

    async def request(self, event: ReindexRequested, _lease: Lease) -> Outcome:
        return self._answered(event)

    async def proceed(self, event: RunContinued, _lease: Lease) -> Outcome:
        return self._answered(event)

    async def give_up(self, event: RunEvent, code: str, message: str) -> Outcome:
        if self.refuses_end:
            raise ZeroDivisionError("planted")
        self.given_up.append((event.task_id, code))
        return RunFailed(code=code, message=message, result=RunResult(total=9))

    def _answered(self, event: RunEvent) -> Outcome:
        self.asked.append(event)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
