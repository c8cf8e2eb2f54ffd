"""Whoever looks after cabinets as a whole: configures them, asks for runs, replays, deletes one."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final

from tests.ledger.book import Book
from tests.ledger.cabinets import DOOMED, FOLDER, SOURCE
from tests.ledger.documents import make_file
from tests.ledger.folder import SourceFolder
from tests.ledger.ledger import Intent, Operation, Outcome, Verdict
from tests.ledger.replica import Replica

__all__ = ["Caretaker"]

_RUN_PAUSE: Final = 3.0
"""Seconds between two requests for a run, on average."""
_REPLAY_PAUSE: Final = 25.0
_DOOMED_PAUSE: Final = 3.0
_DELETE_SHARE: Final = 0.12
_AGAIN_SECONDS: Final = 0.7
_ENOUGH: Final = 120
"""Tasks under way beyond which no run is asked for."""
_FEW: Final = 40
"""Documents of which a run may index all again."""
_MODES: Final = {"changed": 6, "failed": 2, "full": 2}
_SMALL: Final = 16 * 1024


class Caretaker:
    """Works until told to stop.

    Args:
        seed: of what is drawn.
        book: what is known.
        replicas: asked at random.
        cabinets: those that clients upload to.
        folder: what the folder's cabinet is fed from.
    """

    def __init__(
        self,
        seed: int,
        book: Book,
        replicas: list[Replica],
        cabinets: tuple[int, ...],
        folder: SourceFolder,
    ) -> None:
        self._seed = seed
        self._book = book
        self._replicas = replicas
        self._cabinets = cabinets
        self._folder = folder
        self._is_over = asyncio.Event()

    def end(self) -> None:
        """Begin nothing more."""
        self._is_over.set()

    async def configure(self) -> None:
        """Feed a cabinet from the folder, every minute; asked again until it is answered."""
        wish = {
            "name": "Fed from a folder",
            "schedule": {"cron": "* * * * *"},
            "sources": [{"name": SOURCE, "url": self._folder.url}],
        }
        random = Random(f"{self._seed}/configure")
        outcome = await self._ask(random, Operation.CONFIGURE, FOLDER, wish)
        while outcome.verdict is not Verdict.OK:
            await asyncio.sleep(_AGAIN_SECONDS)
            outcome = await self._ask(random, Operation.CONFIGURE, FOLDER, wish)

    async def run(self) -> None:
        """Work until :meth:`end`; what is under way then is finished."""
        async with asyncio.TaskGroup() as group:
            for name, pause, do in (
                ("runs", _RUN_PAUSE, self._ask_for_run),
                ("replays", _REPLAY_PAUSE, self._replay),
                ("doomed", _DOOMED_PAUSE, self._fill_or_delete),
            ):
                group.create_task(self._repeat(Random(f"{self._seed}/{name}"), pause, do))

    async def ask_for_run(self, cabinet: int, wish: dict[str, Any], *, replica: int = 0) -> Outcome:
        """Ask one replica for a run."""
        intent = self._intent(Operation.REINDEX, cabinet, wish)
        return await self._send(intent, self._replicas[replica])

    async def _repeat(self, random: Random, pause: float, do: Callable[[Random], Any]) -> None:
        while not self._is_over.is_set():
            try:
                await asyncio.wait_for(self._is_over.wait(), random.expovariate(1 / pause))
            except TimeoutError:
                await do(random)

    async def _ask_for_run(self, random: Random) -> None:
        if len(self._book.open_others) > _ENOUGH:
            return
        # Every other time the one whose files change.
        cabinet = FOLDER if random.random() < 1 / 2 else random.choice((*self._cabinets, DOOMED))
        [mode] = random.choices(list(_MODES), list(_MODES.values()))
        wish: dict[str, Any] = {"mode": mode}
        known = [one.document_id for one in self._book.documents if one.cabinet == cabinet]
        if mode == "full" and len(known) > _FEW:
            wish["document_ids"] = random.sample(known, _FEW)
        await self._ask(random, Operation.REINDEX, cabinet, wish)

    async def _replay(self, random: Random) -> None:
        cabinet = random.choice((*self._cabinets, FOLDER))
        wish = {"filter": {"cabinet_id": cabinet}, "limit": random.randint(1, 3)}
        await self._ask(random, Operation.REPLAY, cabinet, wish)

    async def _fill_or_delete(self, random: Random) -> None:
        if random.random() < _DELETE_SHARE:
            await self._ask(random, Operation.DELETE_CABINET, DOOMED, {})
            return
        number = self._book.number()
        file = make_file(random, self._seed, number, hostile_share=0, largest=_SMALL)
        intent = Intent(
            n=number,
            operation=Operation.NEW,
            cabinet=DOOMED,
            name=f"doomed-{number}",
            filename=file.filename,
            sha256=file.sha256,
            size=len(file.body),
            canary=file.canary,
        )
        await self._send(intent, random.choice(self._replicas), file.body)

    async def _ask(
        self, random: Random, operation: Operation, cabinet: int, wish: dict[str, Any]
    ) -> Outcome:
        return await self._send(
            self._intent(operation, cabinet, wish), random.choice(self._replicas)
        )

    def _intent(self, operation: Operation, cabinet: int, wish: dict[str, Any]) -> Intent:
        return Intent(
            n=self._book.number(), operation=operation, cabinet=cabinet, name="", wish=wish
        )

    async def _send(self, intent: Intent, replica: Replica, body: bytes = b"") -> Outcome:
        ledger = self._book.ledger
        ledger.intend(intent)
        outcome = await replica.ask(intent, body)
        ledger.answered(outcome)
        if outcome.verdict is Verdict.OK and intent.operation is Operation.REINDEX:
            self._book.asked_for_run(intent, outcome)
        return outcome
