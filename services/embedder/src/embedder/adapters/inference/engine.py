"""The batching engine: many callers on the event loop, one thread, one model."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from embedder.adapters.inference.backend import Backend
from embedder.adapters.inference.inference_thread import InferenceThread
from embedder.adapters.inference.meter import InferenceMeter, SilentInferenceMeter
from embedder.adapters.inference.row_queue import RowQueue, Slice
from embedder.domain.batching import BatchPolicy
from embedder.domain.model import ModelSpec
from embedder.domain.parsed import TokenIds
from embedder.domain.tokens import Tokenizer
from embedder.domain.vectors import Embedded, InputType, Vectors
from kartoteka_contracts.errors import UnavailableError
from kartoteka_runtime.clock import Clock, SystemClock

__all__ = ["Engine"]

_SLICES: Final = 16
"""Slices of all callers in the queue: with a window's rows in each, what bounds its memory."""

_SLICES_PER_CALL: Final = 2
"""Of one caller: one under way and one ready, so that a huge document holds up nobody."""

_STUCK_SECONDS: Final = 120.0
_INLINE_CHARACTERS: Final = 4096
"""Texts up to this size are tokenized on the event loop: about a millisecond."""

_CHARACTERS_PER_TOKEN: Final = 32
"""Where the tail of a text is cut before it is tokenized: far above what any token spans on
average, so that what is left still fills the model."""


def _nothing_expected() -> bool:
    return False


class Engine:
    """Implements :class:`embedder.ports.Embedder`. Belongs to the event loop that starts it.

    Passages of all callers are collected, sorted by length and run in sub-batches; a query is
    placed between two of them. Cancelling a call takes its rows back, apart from those that the
    model is reading.

    Args:
        model: what the model is.
        backend: what runs it; loaded and used by the engine's thread only.
        tokenizer: the model's, for queries.
        policy: how rows are batched.
        meter: is told of every call of the model.
        clock: tells the time.
        expecting: whether more passages are about to come (documents are being parsed, say), so
            that a window that is not full waits for them, for ``policy.linger_seconds`` at most.
    """

    def __init__(
        self,
        *,
        model: ModelSpec,
        backend: Backend,
        tokenizer: Tokenizer,
        policy: BatchPolicy | None = None,
        meter: InferenceMeter | None = None,
        clock: Clock | None = None,
        expecting: Callable[[], bool] = _nothing_expected,
    ) -> None:
        self.model = model
        self._backend = backend
        self._tokenizer = tokenizer
        self._policy = policy or BatchPolicy()
        self._meter = meter or SilentInferenceMeter()
        self._clock = clock or SystemClock()
        self._queue = RowQueue(self._policy, self._clock, expecting)
        self._meter.watch_queue(self._queue.__len__)
        self._permits = {urgent: asyncio.Semaphore(_SLICES) for urgent in (False, True)}
        self._thread: InferenceThread | None = None
        self._loaded: asyncio.Future[None] | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.model.dimension

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory and the thread runs."""
        done = self._loaded is not None and self._loaded.done() and not self._loaded.cancelled()
        return done and self.trouble() is None and not self._queue.closed

    def trouble(self) -> str | None:
        """Why the process must be restarted, or None: a liveness check."""
        thread = self._thread
        if thread is None:
            return None
        if thread.fault is not None:
            return thread.fault
        since = thread.busy_since
        if since is not None and self._clock.monotonic() - since > _STUCK_SECONDS:
            return f"the model has been at one batch for more than {_STUCK_SECONDS:.0f} s"
        return None

    async def start(self) -> None:
        """Begin to load the model, in the engine's thread; calls meanwhile wait for it."""
        self._loaded = asyncio.get_running_loop().create_future()
        self._loaded.add_done_callback(_notice)
        self._thread = InferenceThread(
            model=self.model,
            backend=self._backend,
            queue=self._queue,
            policy=self._policy,
            meter=self._meter,
            clock=self._clock,
            loaded=self._loaded,
        )
        self._thread.start()

    async def wait_loaded(self) -> None:
        """Return once the model is loaded.

        Raises:
            UnavailableError: it cannot be, for the reason in the message.
        """
        if self._loaded is None:
            raise RuntimeError("the engine is not started")
        await asyncio.shield(self._loaded)

    async def close(self) -> None:
        """End the thread after the sub-batch under way; calls that wait end as shutting_down."""
        for piece in self._queue.close():
            if not piece.done.done():
                piece.done.set_exception(UnavailableError("shutting_down"))
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def embed_passages(self, passages: Sequence[TokenIds]) -> Vectors:
        """Return one row a passage, in order.

        Raises:
            ValueError: a passage is longer than ``model.passage_room``.
            DocumentError: ``embedding_failed``: the model failed on these very passages.
            UnavailableError: the engine is closed, or its thread has died.
        """
        rows = [self.model.passage(tokens) for tokens in passages]
        return await self._embed(rows, urgent=False)

    async def embed_queries(self, queries: Sequence[str]) -> Vectors:
        """Return one row a query, in order; what does not fit the model is cut off.

        Raises:
            DocumentError: ``embedding_failed``: the model failed on these very queries.
            UnavailableError: the engine is closed, or its thread has died.
        """
        return (await self.embed_texts(queries, input_type="query")).vectors

    async def embed_texts(self, texts: Sequence[str], *, input_type: InputType) -> Embedded:
        """Return one row a text, in order, either as queries or as passages.

        What does not fit the model is cut off. Raises as :meth:`embed_queries` does.
        """
        tokenize = self._query if input_type == "query" else self._passage
        if sum(len(text) for text in texts) <= _INLINE_CHARACTERS:
            rows = [tokenize(text) for text in texts]
        else:  # tokenizing a megabyte takes longer than a sub-batch
            rows = await asyncio.to_thread(lambda: [tokenize(text) for text in texts])
        vectors = await self._embed(rows, urgent=input_type == "query")
        return Embedded(vectors=vectors, tokens=sum(len(row) for row in rows))

    def _query(self, text: str) -> TokenIds:
        return self.model.query(self._tokens(self.model.query_prompt + text))

    def _passage(self, text: str) -> TokenIds:
        return self.model.passage(self._tokens(text)[: self.model.passage_room])

    def _tokens(self, text: str) -> TokenIds:
        return self._tokenizer.encode(text[: self.model.max_tokens * _CHARACTERS_PER_TOKEN]).ids

    async def _embed(self, rows: Sequence[TokenIds], *, urgent: bool) -> Vectors:
        """Feed the rows slice by slice, so that the queue stays short however many there are."""
        out = np.empty((len(rows), self.model.dimension), dtype=np.float32)
        permits = self._permits[urgent]
        size = self._policy.window_rows
        under_way: deque[Slice] = deque()
        try:
            for start in range(0, len(rows), size):
                if len(under_way) == _SLICES_PER_CALL:
                    await under_way[0].done
                    under_way.popleft()
                # A permit goes with its slice's end, not with its caller's notice of it: callers
                # that wait here for their second slice would hold up each other for ever.
                await permits.acquire()
                done = asyncio.get_running_loop().create_future()
                done.add_done_callback(lambda _: permits.release())
                done.add_done_callback(_notice)
                piece = Slice(
                    rows=rows[start : start + size],
                    out=out[start : start + size],
                    done=done,
                    urgent=urgent,
                    queued_at=self._clock.monotonic(),
                )
                under_way.append(piece)
                self._put(piece)
            while under_way:
                await under_way[0].done
                under_way.popleft()
        finally:
            for piece in under_way:
                self._queue.drop(piece)
                piece.done.cancel()
        return out

    def _put(self, piece: Slice) -> None:
        if not self._queue.put(piece):
            fault = self._thread.fault if self._thread is not None else None
            if fault is not None:
                raise UnavailableError("embeddings_unavailable", fault)
            raise UnavailableError("shutting_down")


def _notice(future: asyncio.Future[None]) -> None:
    """Take note of an error that its caller may have left behind by being cancelled."""
    if not future.cancelled():
        future.exception()
