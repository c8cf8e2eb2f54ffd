"""Clients that upload while things break, and the book of what they were promised."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import httpx

from tests.e2e.api import Api

__all__ = ["Load", "Promise"]

_WORDS: Final = (
    "amber anchor basalt beacon birch cedar cinder cobalt copper coral delta ember falcon fjord "
    "garnet glacier harbor heron indigo iris jasper juniper kestrel lagoon lantern larch maple "
    "marble meadow nectar obsidian ochre opal orchard osprey pebble quartz raven reef saffron "
    "sequoia silver slate spruce thistle timber topaz tundra umber velvet walnut willow zephyr"
)
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Promise:
    """What a 202 said."""

    task_id: str
    document_id: str
    text: str


@dataclass(slots=True)
class Load:
    """A bounded number of small documents a second into one cabinet, until told to stop."""

    api: Api
    cabinet: int
    seed: int
    pause: float = 0.4
    most: int = 2000
    promises: list[Promise] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _is_over: bool = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._work(n)) for n in range(_AT_ONCE)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Upload nothing more, and wait for what is under way."""
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def more(self, count: int, *, within: float = 120.0) -> None:
        """Wait until so many more documents were accepted; so it is known that work goes on."""
        wanted, deadline = len(self.promises) + count, time.monotonic() + within
        while len(self.promises) < wanted:
            if time.monotonic() > deadline:
                raise AssertionError(f"intake stands still: {dict(self.refused)}")
            await asyncio.sleep(0.2)

    async def _work(self, client: int) -> None:
        chosen, words = random.Random(self.seed * 1000 + client), _WORDS.split()
        n = 0
        while not self._is_over and len(self.promises) < self.most:
            n += 1
            text = " ".join(chosen.choices(words, k=40))
            try:
                answer = await self.api.upload(self.cabinet, f"{client}-{n}.txt", text.encode())
            except httpx.HTTPError as error:
                self.refused[type(error).__name__] += 1
            else:
                if answer.status_code == httpx.codes.ACCEPTED:
                    told = answer.json()
                    self.promises.append(Promise(told["task_id"], told["document_id"], text))
                else:
                    self.refused[str(answer.status_code)] += 1
            await asyncio.sleep(self.pause)

    async def broken(self) -> list[str]:
        """Return every promise that was not kept: not succeeded, or not found by a search."""
        slots = asyncio.Semaphore(8)

        async def check(promise: Promise) -> str | None:
            async with slots:
                task = await self.api.ended(promise.task_id)
                if task["status"] != "succeeded":
                    return f"{promise.task_id}: {task['status']} {task['error']}"
                hits = await self.api.hits(self.cabinet, promise.text)
                if all(hit["document_id"] != promise.document_id for hit in hits):
                    return f"{promise.document_id} is not found by its own text"
                return None

        checked = await asyncio.gather(*(check(promise) for promise in self.promises))
        return [wrong for wrong in checked if wrong is not None]
