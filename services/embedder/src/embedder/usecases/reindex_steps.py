"""The steps of a run: which event drives the next one, and when it may."""

from datetime import datetime
from typing import Final

from embedder.planner_ports import PlannerLog
from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.reindex import ReindexRequested, RunContinued, RunPhase
from kartoteka_index.run_state import RunState, RunStep

__all__ = ["TOPIC", "continuation", "headers", "polled_after", "send_step", "throttled_for"]

TOPIC: Final = "cabinets.reindex"
_SLOWEST: Final = 30.0
_FIRST_LOOK: Final = 0.5
_FIRST_BREAK: Final = 1.0
_MOST_DOUBLINGS: Final = 10
_PHASES: Final = {RunStep.EMITTING: RunPhase.EMITTING, RunStep.WATCHING: RunPhase.WATCHING}


def continuation(state: RunState) -> ReindexRequested | RunContinued | None:
    """Return the event of a run's next step; None where it has ended.

    It may be sent again whenever in doubt: a step that was done before is left out.
    """
    if state.phase is RunStep.PLANNING:
        return state.request
    phase = _PHASES.get(state.phase)
    if phase is None:
        return None
    return RunContinued(
        task_id=state.run_id,
        cabinet_id=state.cabinet_id,
        phase=phase,
        step=state.step,
        page=state.page,
        waits=state.waits,
        begun_at=state.begun_at or state.accepted_at,
        result=state.result,
        accepted_at=state.accepted_at,
    )


def headers(state: RunState, not_before: datetime | None = None) -> list[tuple[str, bytes]]:
    """Return the headers of the event of a run's next step."""
    due = None if not_before is None else int(not_before.timestamp() * 1000)
    return Envelope(event_id=f"{state.run_id}/{state.step}", not_before_ms=due).to_headers()


async def send_step(log: PlannerLog, state: RunState, not_before: datetime | None = None) -> None:
    """Send the event of a run's next step; nothing where it has ended.

    Raises:
        UnavailableError: Kafka is away.
    """
    event = continuation(state)
    if event is not None:
        value = encode(event)
        await log.send(TOPIC, key=event.key, value=value, headers=headers(state, not_before))


def polled_after(waits: int) -> float:
    """Return the seconds until the next look, after ``waits`` in a row were in vain."""
    return _doubled(_FIRST_LOOK, waits)


def throttled_for(waits: int) -> float:
    """Return the seconds until a page is tried again that had to wait ``waits`` times before."""
    return _doubled(_FIRST_BREAK, waits)


def _doubled(first: float, times: int) -> float:
    return float(min(_SLOWEST, first * 2 ** min(times, _MOST_DOUBLINGS)))
