"""The last runs: schedules are up to date, and whatever runs are to do is done."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kartoteka_contracts.ids import CabinetId, run_task_id
from kartoteka_contracts.schedule import spread
from kartoteka_contracts.tasks import TaskStatus
from tests.ledger.cabinets import FOLDER
from tests.ledger.caretaker import Caretaker
from tests.ledger.findings import Finding, Findings, Kind
from tests.ledger.ledger import Verdict
from tests.ledger.replica import Replica

__all__ = ["LastRuns"]

_MINUTE: Final = timedelta(minutes=1)
_SLOT_SECONDS: Final = 30.0
"""For the scheduler to ask for what became due while it could not."""
_RUN_SECONDS: Final = 120.0
_ROUND_SECONDS: Final = 0.3


class LastRuns:
    """What is done once everything works again.

    Args:
        caretaker: asks for the runs.
        replicas: asked how they end.
        findings: what is wrong goes here.
    """

    def __init__(self, caretaker: Caretaker, replicas: list[Replica], findings: Findings) -> None:
        self._caretaker = caretaker
        self._replicas = replicas
        self._findings = findings

    async def schedule(self, configured_at: datetime) -> None:
        """Wait for the run of the last slot that is due; of missed ones the last is never lost."""
        due = datetime.now(UTC) - spread(CabinetId(FOLDER))
        slot = due.replace(second=0, microsecond=0)
        # The first slot may have come before the scheduler's first look at the clock.
        if slot < configured_at + _MINUTE:
            return
        run = run_task_id(CabinetId(FOLDER), slot)
        deadline = time.monotonic() + _SLOT_SECONDS
        while time.monotonic() < deadline:
            answer = await self._replicas[0].get(f"/rag/task/{run}")
            if answer is not None and answer.is_success:
                return
            await asyncio.sleep(_ROUND_SECONDS)
        self._find(Kind.LOST, FOLDER, f"the slot {slot} was due, and there is no run {run}")

    async def converge(self, cabinets: tuple[int, ...], *, may_wait: bool) -> None:
        """Bring the folder's cabinet up to date; then no cabinet has anything to do.

        Args:
            cabinets: to which clients upload.
            may_wait: whether work that was accepted may still wait for a reconciliation.
        """
        await self._run(FOLDER, is_confirmed=True)
        for cabinet in (FOLDER, *cabinets):
            task = await self._run(cabinet, is_confirmed=False)
            if task is None:
                continue
            result = task["result"] or {"total": None, "counts": {"pending": 0}}
            if task["status"] != TaskStatus.UNCHANGED or result["total"] != 0:
                self._find(
                    Kind.LOST,
                    cabinet,
                    f"the last run found something to do: {task['status']}, "
                    f"{result}, {task['error']}",
                )
            elif result["counts"]["pending"] and not may_wait:
                self._find(Kind.LOST, cabinet, f"accepted work is not decided: {result}")

    async def _run(self, cabinet: int, *, is_confirmed: bool) -> dict[str, Any] | None:
        """Run, and return how it ended; None where there is no such cabinet, or no end."""
        wish = {"mode": "changed", "confirm_vanished": is_confirmed}
        deadline = time.monotonic() + _RUN_SECONDS
        said = "nothing"
        while time.monotonic() < deadline:
            outcome = await self._caretaker.ask_for_run(cabinet, wish)
            said = f"{outcome.status} {outcome.code}"
            if outcome.status == 404:
                return None
            if outcome.verdict is Verdict.OK:
                task = await self._end(outcome.task_id, deadline)
                if task is not None and task["status"] != TaskStatus.SUPERSEDED:
                    return task
                said = f"{outcome.task_id} is {task}"
            await asyncio.sleep(_ROUND_SECONDS)
        self._find(Kind.STUCK, cabinet, f"no run came to an end: {said}")
        return None

    async def _end(self, task_id: str, deadline: float) -> dict[str, Any] | None:
        while time.monotonic() < deadline:
            answer = await self._replicas[0].get(f"/rag/task/{task_id}")
            if answer is not None and answer.is_success:
                task: dict[str, Any] = answer.json()
                if TaskStatus(task["status"]).is_end:
                    return task
            await asyncio.sleep(_ROUND_SECONDS)
        return None

    def _find(self, kind: Kind, cabinet: int, detail: str) -> None:
        self._findings.add(Finding(kind=kind, cabinet=cabinet, name="reindex", detail=detail))
