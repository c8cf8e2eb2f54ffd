"""The clients: a seeded stream of everything that can be asked of a document."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.ledger.book import Book, Known
from tests.ledger.documents import File, make_file
from tests.ledger.duplicates import Duplicates
from tests.ledger.ledger import Intent, Operation, Outcome, Verdict
from tests.ledger.replica import Replica

__all__ = ["WEIGHTS", "Workload", "WorkloadPlan"]

WEIGHTS: Final[Mapping[Operation, int]] = {
    Operation.NEW: 40,
    Operation.VERSION: 22,
    Operation.SAME: 6,
    Operation.METADATA: 6,
    Operation.DELETE: 8,
    Operation.CANCEL: 8,
    Operation.DUPLICATE: 10,
}
_KEY_SHARE: Final = 0.5
"""Uploads with an Idempotency-Key."""
_AGAIN_SHARE: Final = 0.15
"""Of those, how many are sent again although they were answered."""
_TRIES: Final = 12
_TRY_PAUSE: Final = 0.7
_PICKS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadPlan:
    """What the clients do, and how much of it."""

    seed: int
    cabinets: tuple[int, ...] = (1, 2, 3, 4)
    clients: int = 4
    pause: float = 0.25
    """Seconds between two requests of a client, on average."""
    open_tasks: int = 60
    """Clients rest while more than these are under way."""
    weights: Mapping[Operation, int] = field(default_factory=lambda: dict(WEIGHTS))
    hostile_share: float = 0.02
    has_keys: bool = True
    """Whether Idempotency-Keys are sent."""


class Workload:
    """Runs the clients until told to stop."""

    def __init__(
        self,
        plan: WorkloadPlan,
        book: Book,
        replicas: list[Replica],
        duplicates: Duplicates,
        on_accepted: Callable[[Replica], None],
    ) -> None:
        self._plan = plan
        self._book = book
        self._replicas = replicas
        self._duplicates = duplicates
        self._on_accepted = on_accepted
        self._is_over = asyncio.Event()

    def end(self) -> None:
        """Begin nothing more."""
        self._is_over.set()

    async def run(self) -> None:
        """Work until :meth:`end`; what is under way then is finished."""
        async with asyncio.TaskGroup() as clients:
            for n in range(self._plan.clients):
                clients.create_task(self._client(Random(f"{self._plan.seed}/client/{n}")))

    async def _client(self, random: Random) -> None:
        operations, weights = zip(*self._plan.weights.items(), strict=True)
        while not self._is_over.is_set():
            await asyncio.sleep(random.expovariate(1 / self._plan.pause))
            if len(self._book.open_tasks) > self._plan.open_tasks:
                continue
            [operation] = random.choices(operations, weights)
            document = self._document(random, operation)
            if document is None:
                continue
            document.is_busy = True
            try:
                await self._do(random, operation, document)
            finally:
                document.is_busy = False

    def _document(self, random: Random, operation: Operation) -> Known | None:
        if operation is Operation.NEW:
            cabinet = random.choice(self._plan.cabinets)
            return self._book.add(cabinet)
        documents = self._book.documents
        for _ in range(_PICKS if documents else 0):
            # Two of three times a recent one: its work may still be under way.
            recent = documents[-12:] if random.random() < 2 / 3 else documents
            document = random.choice(recent)
            if not document.is_busy and _suits(document, operation):
                return document
        return None

    async def _do(self, random: Random, operation: Operation, document: Known) -> None:
        number = self._book.number()
        if operation is Operation.DUPLICATE:
            await self._duplicate(random, number, document)
            return
        file = None
        intent = Intent(
            n=number,
            operation=operation,
            cabinet=document.cabinet,
            name=document.name,
            document_id=document.document_id,
            task_id=document.task_id if operation is Operation.CANCEL else "",
        )
        if operation.is_upload:
            intent, file = self._upload(random, number, operation, document)
        body = b"" if file is None else file.body
        await self._ask(random, document, intent, body)

    async def _ask(self, random: Random, document: Known, intent: Intent, body: bytes) -> None:
        was_uncertain = document.is_uncertain
        self._book.intend(document, intent)
        outcome = await self._once(random, document, intent, body)
        if not intent.key:
            return
        tries = 1
        while outcome.verdict is not Verdict.OK and tries < _TRIES:
            if outcome.verdict is Verdict.FAIL and outcome.status not in {0, 409}:
                return
            await asyncio.sleep(_TRY_PAUSE * tries)
            outcome = await self._once(random, document, intent, body)
            tries += 1
        if outcome.verdict is Verdict.OK:
            # One request, whatever became of its first tries.
            document.is_uncertain = was_uncertain
        if outcome.verdict is Verdict.OK and random.random() < _AGAIN_SHARE:
            await self._once(random, document, intent, body)

    async def _once(self, random: Random, document: Known, intent: Intent, body: bytes) -> Outcome:
        replica = random.choice(self._replicas)
        asked_at = time.monotonic()
        outcome = await replica.ask(intent, body)
        if outcome.verdict is Verdict.OK and intent.operation.is_upload:
            self._on_accepted(replica)
        self._book.answered(document, intent, outcome, asked_at)
        return outcome

    def _upload(
        self, random: Random, number: int, operation: Operation, document: Known
    ) -> tuple[Intent, File]:
        newest = document.newest
        of = number
        if newest is not None and operation in {Operation.SAME, Operation.METADATA}:
            of = int(newest.filename.partition(".")[0][1:], 16)
        file = self._file(of)
        metadata = {"operation": number, "kind": "ledger"}
        if operation is Operation.SAME and newest is not None:
            metadata = newest.metadata
        has_key = self._plan.has_keys and random.random() < _KEY_SHARE
        intent = Intent(
            n=number,
            operation=operation,
            cabinet=document.cabinet,
            name=document.name,
            document_id=document.document_id,
            filename=file.filename,
            sha256=file.sha256,
            metadata=metadata,
            size=len(file.body),
            canary=file.canary,
            is_hostile=file.is_hostile,
            key=f"key-{self._plan.seed}-{number}" if has_key else "",
        )
        return intent, file

    def _file(self, n: int) -> File:
        """Return the file of an operation: made anew each time, so that none is kept."""
        return make_file(
            Random(f"{self._plan.seed}/file/{n}"),
            self._plan.seed,
            n,
            hostile_share=self._plan.hostile_share,
        )

    async def _duplicate(self, random: Random, number: int, document: Known) -> None:
        intent = Intent(
            n=number,
            operation=Operation.DUPLICATE,
            cabinet=document.cabinet,
            name=document.name,
            document_id=document.document_id,
        )
        self._book.intend(document, intent)
        outcome = await self._duplicates.send_again(random, number)
        self._book.answered(document, intent, outcome, time.monotonic())


def _suits(document: Known, operation: Operation) -> bool:
    match operation:
        case Operation.SAME | Operation.METADATA:
            return document.newest is not None
        case Operation.CANCEL:
            return bool(document.task_id)
        case _:
            return True
