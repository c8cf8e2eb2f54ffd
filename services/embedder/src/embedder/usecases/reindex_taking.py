"""Make a requested run the cabinet's current one, and count the tries to plan it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from embedder.domain.outcome import Continued, Outcome, RunJoined
from embedder.domain.reindex_turns import Turn, is_stalled, opened, turn_of, waited_for
from embedder.planner_ports import PlannerIndex, PlannerLog
from embedder.usecases.reindex_ends import ending
from embedder.usecases.reindex_steps import TOPIC, send_step
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.reindex import ReindexRequested
from kartoteka_index.run_state import RunState
from kartoteka_runtime.clock import Clock

__all__ = ["MOST_TRIES", "TakeRun"]

MOST_TRIES: Final = 5
"""Tries to plan a run that ended with their worker: so would the next one."""


class TakeRun:
    """What comes before a run is planned. All calls raise UnavailableError."""

    def __init__(self, *, index: PlannerIndex, log: PlannerLog, clock: Clock) -> None:
        self._index = index
        self._log = log
        self._clock = clock

    async def run(self, cabinet: AuthorisedCabinet, event: ReindexRequested) -> RunState | Outcome:
        """Make the run the cabinet's current one, or say what it comes to without that."""
        while True:
            seen = await self._index.run_state(cabinet)
            turn = turn_of(event, seen)
            if seen is not None and turn is Turn.OWN:
                return seen if seen.is_open else ending(seen)
            if seen is not None and turn is Turn.JOIN:
                return RunJoined(run=seen.run_id)
            if seen is not None and turn is Turn.WAIT:
                return await self._wait(event, seen)
            state = opened(event, seen, self._clock.now())
            stands = await self._index.write_run_state(cabinet, state, seen=seen)
            if stands is not None:
                return stands

    @asynccontextmanager
    async def one_try(
        self, cabinet: AuthorisedCabinet, seen: RunState
    ) -> AsyncIterator[RunState | None]:
        """Count a try to plan before it is begun, and take that back where the worker lives on.

        Gives:
            The state as it stands then; None where somebody else has written another one.
        """
        counted = replace(seen, tries=seen.tries + 1, changed_at=self._clock.now())
        stands = await self._index.write_run_state(cabinet, counted, seen=seen)
        try:
            yield stands
        except (UnavailableError, asyncio.CancelledError):
            if stands is not None:
                with suppress(UnavailableError):
                    again = replace(stands, tries=seen.tries)
                    await self._index.write_run_state(cabinet, again, seen=stands)
            raise

    async def _wait(self, event: ReindexRequested, seen: RunState) -> Outcome:
        """Send a request to the tail again: the run that is open does not do its work.

        While it goes round, whoever looks for runs without an event sees one of this cabinet: so
        it is this request that makes a run go on whose next step was lost.
        """
        now = self._clock.now()
        if is_stalled(seen, now):
            await send_step(self._log, seen)
        due = now + waited_for(event, now)
        waiting = Envelope(event_id=event.task_id, not_before_ms=int(due.timestamp() * 1000))
        value = encode(event)
        await self._log.send(TOPIC, key=event.key, value=value, headers=waiting.to_headers())
        return Continued()
