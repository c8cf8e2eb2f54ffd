"""The one thread that owns the model: takes rows, runs them, writes vectors to their callers."""

import threading
from asyncio import Future
from collections.abc import Sequence

import numpy as np

from embedder.adapters.inference.backend import Backend
from embedder.adapters.inference.meter import InferenceMeter
from embedder.adapters.inference.row_queue import Row, RowQueue, Slice
from embedder.domain.batching import BatchPolicy, SubBatch, fill, plan
from embedder.domain.model import ModelSpec
from embedder.domain.vectors import Vectors
from kartoteka_contracts.errors import DocumentError, KartotekaError, UnavailableError
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger

__all__ = ["InferenceThread"]

_log = get_logger(__name__)


class InferenceThread(threading.Thread):
    """Loads the backend, then serves the queue until it is closed.

    A batch that fails is an answer to those whose rows were in it. Anything else that fails ends
    the thread: the queue closes, all who wait are told, and :attr:`fault` says why.
    """

    def __init__(
        self,
        *,
        model: ModelSpec,
        backend: Backend,
        queue: RowQueue,
        policy: BatchPolicy,
        meter: InferenceMeter,
        clock: Clock,
        loaded: Future[None],
    ) -> None:
        super().__init__(name="inference")
        self._model = model
        self._backend = backend
        self._queue = queue
        self._policy = policy
        self._meter = meter
        self._clock = clock
        self._loaded = loaded
        self.fault: str | None = None
        """Why the thread ended without being asked to; None while all is well."""
        self.busy_since: float | None = None
        """When the model's call under way began, monotonic; None between calls."""
        self._under_way: Sequence[Row] = ()

    def run(self) -> None:
        """Live. Never raises: nobody could catch it."""
        gone = UnavailableError("shutting_down")
        try:
            self._backend.load()
            _settle(self._loaded, None)
            self._serve()
        except Exception as error:  # noqa: BLE001 - the thread's last guard: its callers must hear
            self.fault = f"the inference thread ended: {type(error).__name__}: {error}"
            gone = UnavailableError("embeddings_unavailable", self.fault)
            _log.exception("inference_thread_ended")
        finally:
            _settle(self._loaded, gone)
            for piece in (*self._queue.close(), *(row.slice for row in self._under_way)):
                _settle(piece.done, gone)
            self._backend.close()

    def _serve(self) -> None:
        while (window := self._queue.take()) is not None:
            self._under_way = window
            for group in self._groups(window):
                if urgent := self._queue.take_urgent():
                    self._under_way = (*window, *urgent)
                    for urgent_group in self._groups(urgent):
                        self._run_side_by_side(urgent, urgent_group)
                if self._queue.closed:
                    return
                self._run_side_by_side(window, group)
            self._under_way = ()

    def _groups(self, rows: Sequence[Row]) -> list[tuple[SubBatch, ...]]:
        lengths = [len(row.tokens) for row in rows]
        batches = plan(lengths, self._policy, longest=self._model.max_tokens)
        width = self._backend.width
        return [batches[start : start + width] for start in range(0, len(batches), width)]

    def _run_side_by_side(self, window: Sequence[Row], batches: Sequence[SubBatch]) -> None:
        groups = [
            (batch.length, rows)
            for batch in batches
            if (rows := [window[n] for n in batch.rows if not window[n].slice.dropped])
        ]
        if not groups:
            return
        try:
            self._call(groups)
        except Exception as error:  # noqa: BLE001 - a batch is a job boundary, libraries raise anything
            self._meter.failed()
            self._blame(groups, error)

    def _blame(self, groups: Sequence[tuple[int, list[Row]]], error: Exception) -> None:
        """Run each caller's rows on their own, so that one text fails one document only."""
        pieces = {id(row.slice): row.slice for _, rows in groups for row in rows}
        if len(pieces) == 1:
            _fail(next(iter(pieces.values())), error)
            return
        for piece in pieces.values():
            try:
                for length, rows in groups:
                    if own := [row for row in rows if row.slice is piece]:
                        self._call([(length, own)])
            except Exception as own_error:  # noqa: BLE001 - as above, for one caller
                _fail(piece, own_error)

    def _call(self, groups: Sequence[tuple[int, list[Row]]]) -> None:
        inputs = [
            fill([row.tokens for row in rows], length, pad=self._model.pad)
            for length, rows in groups
        ]
        started = self.busy_since = self._clock.monotonic()
        try:
            answers = self._backend.run(inputs)
        finally:
            self.busy_since = None
        seconds = self._clock.monotonic() - started
        for (_, rows), vectors in zip(groups, answers, strict=True):
            self._check(rows, vectors)
        for (length, rows), vectors in zip(groups, answers, strict=True):
            self._meter.ran(
                rows=len(rows),
                tokens=sum(len(row.tokens) for row in rows),
                padded=length * len(rows),
                seconds=seconds / len(groups),
            )
            _deliver(rows, vectors)

    def _check(self, rows: Sequence[Row], vectors: Vectors) -> None:
        if vectors.shape != (len(rows), self._model.dimension):
            raise ValueError(f"the model answered {vectors.shape} to {len(rows)} rows")
        if not np.isfinite(vectors).all():
            raise ValueError("the model answered with numbers that are none")


def _deliver(rows: Sequence[Row], vectors: Vectors) -> None:
    for row, vector in zip(rows, vectors, strict=True):
        piece = row.slice
        piece.out[row.place] = vector
        piece.left -= 1
        if piece.left == 0:
            _settle(piece.done, None)


def _fail(piece: Slice, error: Exception) -> None:
    _log.warning("inference_failed", rows=len(piece.rows), exc_info=error)
    failure = DocumentError("embedding_failed", f"the model failed: {type(error).__name__}")
    failure.__cause__ = error
    piece.dropped = True
    _settle(piece.done, failure)


def _settle(future: Future[None], error: KartotekaError | None) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    try:
        future.get_loop().call_soon_threadsafe(settle)
    except RuntimeError:
        _log.warning("inference_caller_gone")  # its event loop has ended, and the caller with it
