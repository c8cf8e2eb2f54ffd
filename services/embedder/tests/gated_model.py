"""A model whose calls a test lets through one by one, and what else the engine's tests plant."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from embedder.domain.batching import BatchPolicy, ModelInput
from embedder.domain.model import ModelSpec
from embedder.domain.vectors import Vectors

SPEC = ModelSpec(name="gated", dimension=4, max_tokens=64)
POLICY = BatchPolicy(token_budget=64, window_rows=8, linger_seconds=5.0)
POISON = 13
LETHAL = 14


class GatedBackend:
    """Answers each row with its first token; waits for the gate before each call."""

    width = 1

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.calls: list[list[int]] = []
        self.broken_load = False
        self.closed = False

    def load(self) -> None:
        if self.broken_load:
            raise RuntimeError("no such file")

    def run(self, batches: Sequence[ModelInput]) -> list[Vectors]:
        self.entered.release()
        assert self.gate.acquire(timeout=10)
        (batch,) = batches
        first = [int(row[0]) for row in batch.ids]
        self.calls.append(first)
        if POISON in first:
            raise RuntimeError("a text that the model cannot bear")
        vectors = np.zeros((len(first), SPEC.dimension), np.float32)
        vectors[:, 0] = first
        if LETHAL in first:
            vectors[:, 0] = np.nan
        return [vectors]

    def close(self) -> None:
        self.closed = True

    def open(self) -> None:
        self.gate.release(100_000)

    async def until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=10)


class Crowd:
    """Answers whether more is to come."""

    def __init__(self) -> None:
        self.coming = False

    def __call__(self) -> bool:
        return self.coming


@dataclass(slots=True, kw_only=True)
class Readings:
    """A meter that keeps what it is told."""

    queue: Callable[[], int] = lambda: -1
    rows: int = 0
    tokens: int = 0
    padded: int = 0
    failures: int = 0

    def watch_queue(self, length: Callable[[], int]) -> None:
        self.queue = length

    def ran(self, *, rows: int, tokens: int, padded: int, seconds: float) -> None:
        assert seconds >= 0
        self.rows += rows
        self.tokens += tokens
        self.padded += padded

    def failed(self) -> None:
        self.failures += 1
