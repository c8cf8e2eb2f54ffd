"""Reindex runs: those that nobody drives any more go on, and what ended ones kept is removed."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from embedder.usecases.reconcile_pass import Pass
from embedder.usecases.reconcile_report import Left, Mend, Seen
from embedder.usecases.reindex_steps import TOPIC
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.keys import runs_prefix
from kartoteka_index.run_state import RunState

__all__ = ["ReconcileRuns"]

_RUN: Final = 3
"""Where in a key the run stands."""


@dataclass(slots=True, kw_only=True)
class _Folder:
    """What a run has kept."""

    keys: list[str]
    modified: datetime
    """Of what was written last."""


class ReconcileRuns(Pass):
    """The pass over a cabinet's reindex runs."""

    async def run(self, cabinet: AuthorisedCabinet) -> None:
        """Send the next step of a run without one, and remove what old runs kept."""
        # Folders before the state: a run that begins meanwhile is in the state, or in none of them.
        folders = await self._folders(cabinet.cabinet_id)
        state = await self.index.run_state(cabinet)
        current = set() if state is None else {str(state.run_id)}
        self.report.seen[Seen.RUNS] += len(folders.keys() | current)
        if state is not None and state.is_open:
            await self._drive(cabinet, state)
        await self._tidy(folders, state)

    async def _drive(self, cabinet: AuthorisedCabinet, state: RunState) -> None:
        """Send what comes next where no event of the run is in the topic.

        The order counts: state, topic, state. A worker sends the next step, or ends the run,
        before it acknowledges one; so what is in no topic and stands as before is in nobody's
        hands.
        """
        if state.changed_at >= self.clock.now() - self.ages.grace:
            self.report.left[Left.YOUNG] += 1
            return
        key = str(cabinet.cabinet_id)
        if await self.backlog.waiting({key}, topics=(TOPIC,)):
            self.report.left[Left.WAITING] += 1
            return
        if await self.index.run_state(cabinet) == state:
            await self.mender.resume(state)

    async def _tidy(self, folders: dict[str, _Folder], state: RunState | None) -> None:
        now = self.clock.now()
        for run, folder in sorted(folders.items()):
            if state is not None and run == state.run_id:
                is_old = not state.is_open and state.changed_at < now - self.ages.run
            else:
                # Whoever writes it may not know yet that another one was faster.
                is_old = folder.modified < now - self.ages.orphan
            if is_old:
                await self.mender.remove(Mend.OLD_RUNS, folder.keys)

    async def _folders(self, cabinet: CabinetId) -> dict[str, _Folder]:
        found: dict[str, _Folder] = {}
        keys: dict[str, list[str]] = defaultdict(list)
        async for page in self.archive.pages(runs_prefix(cabinet)):
            for one in page:
                run = one.key.split("/")[_RUN]
                keys[run].append(one.key)
                last = found.setdefault(run, _Folder(keys=keys[run], modified=one.modified))
                last.modified = max(last.modified, one.modified)
        return found
