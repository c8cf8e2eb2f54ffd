"""Index one version of a document: from its body to a published manifest.

Every step may be repeated: point ids are derived, decisions are conditional, and a try that finds
its own decision goes on from there. A crash at any await is repaired by the next delivery.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from embedder.domain.job import Job, Lease
from embedder.domain.outcome import Indexed, Outcome
from embedder.domain.parsed import Chunk, Parsed, Rejected
from embedder.ports import Bodies, ChunkIndex, Embedder, Extractor, StageReport, Vectors
from embedder.telemetry import IndexingMetrics
from embedder.usecases.conclude import ConcludeWork
from embedder.usecases.scratch import Scratch
from embedder.usecases.starts import CountStarts
from embedder.usecases.stopwatch import Stopwatch
from embedder.usecases.work_try import WorkTry
from kartoteka_contracts.errors import DocumentError, UnavailableError
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.keys import cancel_key
from kartoteka_contracts.tasks import Stage
from kartoteka_index.manifest import Published
from kartoteka_index.points import ChunkPoint
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.metrics import Metrics
from kartoteka_runtime.tracing import child

__all__ = ["IndexDocument"]

_WINDOW: Final = 256
"""Chunks embedded and written at a time: bounds memory, and a batch that Qdrant takes well."""

_SHARE: Final = {
    Stage.FETCHING: 0.0,
    Stage.PARSING: 0.05,
    Stage.CHUNKING: 0.15,
    Stage.EMBEDDING: 0.2,
    Stage.WRITING: 0.95,
}
"""Where in the whole task a stage begins; embedding takes most of the time."""

_KILLS: Final = frozenset({"timeout", "parser_crashed"})


class IndexDocument:
    """The use case. Reads bodies, writes points and manifests; sends no events."""

    def __init__(
        self,
        *,
        bodies: Bodies,
        extractor: Extractor,
        embedder: Embedder,
        index: ChunkIndex,
        clock: Clock,
        scratch: Scratch,
        metrics: Metrics | None = None,
    ) -> None:
        self._bodies = bodies
        self._extractor = extractor
        self._embedder = embedder
        self._index = index
        self._clock = clock
        self._scratch = scratch
        self._metrics = IndexingMetrics(metrics or Metrics())
        self._starts = CountStarts(index)
        self._conclude = ConcludeWork(index=index, bodies=bodies, extractor=extractor, clock=clock)

    async def run(self, job: Job, lease: Lease, report: StageReport) -> Outcome:
        """Do the work, or find that it is done, overtaken, cancelled or not to be tried again.

        Raises:
            UnavailableError: a dependency is away; the document is not to blame.
            DocumentError: the try failed in a way that may pass.
            KartotekaError: ``body_missing`` or ``body_corrupt``.
        """
        attempt = WorkTry.of(job, lease, report, Stopwatch(self._clock.monotonic))
        try:
            return await self._run(attempt)
        except DocumentError as error:
            if error.code in _KILLS and await self._starts.killed(attempt):
                message = f"{self._starts.poison(attempt)} The last time: {error.message}"
                return await self._conclude.fail(attempt, "poison", message, Stage.PARSING)
            raise
        except asyncio.CancelledError:
            await self._starts.take_back(attempt)
            raise
        finally:
            self._metrics.tried(attempt.watch.seconds)

    async def give_up(self, job: Job, code: str, message: str, stage: str) -> Outcome:
        """Record that the work failed for good.

        Returns:
            Failed, or what stands where that was decided before.

        Raises:
            UnavailableError: Qdrant is away.
        """
        return await self._conclude.fail(self._outside(job), code, message, stage)

    async def cancel(self, job: Job) -> Outcome:
        """Record that the work was cancelled; it must not run here meanwhile.

        Returns:
            Cancelled, or what stands where that was decided before.

        Raises:
            UnavailableError: Qdrant is away.
        """
        return await self._conclude.cancel(self._outside(job))

    def _outside(self, job: Job) -> WorkTry:
        watch = Stopwatch(self._clock.monotonic)
        return WorkTry.of(job, Lease(), lambda _stage, _share: None, watch)

    async def _run(self, attempt: WorkTry) -> Outcome:
        event = attempt.event
        attempt.seen = await self._index.manifest(attempt.cabinet, event.document_id)
        attempt.is_open = attempt.seen is not None
        standing = await self._conclude.standing(attempt)
        if standing is not None:
            return standing
        if await self._is_cancelled(attempt):
            return await self._conclude.cancel(attempt)
        published = None if attempt.seen is None else attempt.seen.published
        if published is not None and not event.is_forced and self._says(event, published):
            if (published.filename, published.metadata) == (event.filename, event.metadata):
                return await self._conclude.unchanged(attempt, published)
            rewritten = await self._rewrite(attempt, published)
            if rewritten is not None:
                return rewritten
        return await self._index_anew(attempt)

    def _says(self, event: DocumentSubmitted, published: Published) -> bool:
        """Whether what is published has the same text, cut alike: then so are its vectors."""
        return (published.sha256, published.media_type, published.fingerprint) == (
            event.sha256,
            event.media_type,
            self._extractor.fingerprint,
        )

    async def _is_cancelled(self, attempt: WorkTry) -> bool:
        event = attempt.event
        return await self._bodies.exists(
            cancel_key(event.cabinet_id, event.document_id, event.version, event.task_id)
        )

    async def _index_anew(self, attempt: WorkTry) -> Outcome:
        poison = self._starts.poison(attempt)
        if poison is not None:
            return await self._conclude.fail(attempt, "poison", poison, Stage.PARSING)
        extraction = await self._extract(attempt)
        if isinstance(extraction, Rejected):
            code, message = extraction.code, extraction.message
            return await self._conclude.fail(attempt, code, message, Stage.PARSING)
        if extraction.chunks:
            await self._write(attempt, extraction)
            return await self._publish(attempt, self._published(attempt, extraction), extraction)
        if await self._is_cancelled(attempt):
            return await self._conclude.cancel(attempt)
        return await self._conclude.empty(attempt, extraction)

    async def _rewrite(self, attempt: WorkTry, published: Published) -> Outcome | None:
        """Publish the same chunks with another payload; None where they are not all there."""
        event = attempt.event
        attempt.report(Stage.WRITING, _SHARE[Stage.WRITING])
        with attempt.watch.measure(Stage.WRITING):
            await self._index.copy(
                attempt.cabinet,
                event.document_id,
                source=(published.version, published.epoch),
                to=attempt.order,
                filename=event.filename,
                metadata=event.metadata,
            )
            stored = await self._stored(attempt, published.chunks)
        if stored != published.chunks:
            # A delete took them meanwhile, or somebody else: the body has it all still.
            return None
        return await self._publish(
            attempt,
            replace(
                published,
                version=event.version,
                epoch=event.epoch,
                filename=event.filename,
                metadata=event.metadata,
                published_at=self._clock.now(),
            ),
        )

    async def _extract(self, attempt: WorkTry) -> Parsed | Rejected:
        event = attempt.event
        async with self._scratch.body(attempt.queue, event.size) as body:
            attempt.report(Stage.FETCHING, _SHARE[Stage.FETCHING])
            with attempt.watch.measure(Stage.FETCHING):
                await self._bodies.download(
                    event.body_key, body, size=event.size, sha256=event.sha256
                )
            with child("extracting", media_type=event.media_type):
                extraction = await self._extractor.extract(
                    body,
                    media_type=event.media_type,
                    filename=event.filename,
                    report=lambda stage, _share: attempt.report(stage, _SHARE[stage]),
                    begin=partial(self._starts.begin, attempt),
                )
                if isinstance(extraction, Parsed):
                    attempt.watch.add(extraction.seconds)
        return extraction

    async def _write(self, attempt: WorkTry, parsed: Parsed) -> None:
        """Embed and store all chunks; none of them is searchable yet."""
        done, total = 0, len(parsed.chunks)
        for window in _windows(parsed.chunks):
            share = _SHARE[Stage.EMBEDDING]
            attempt.report(Stage.EMBEDDING, share + (_SHARE[Stage.WRITING] - share) * done / total)
            with attempt.watch.measure(Stage.EMBEDDING):
                vectors = await self._embedder.embed_passages([chunk.tokens for chunk in window])
            with attempt.watch.measure(Stage.WRITING):
                await self._index.upsert(attempt.cabinet, _points(attempt.event, window, vectors))
            done += len(window)
        attempt.report(Stage.WRITING, _SHARE[Stage.WRITING])
        with attempt.watch.measure(Stage.WRITING):
            stored = await self._stored(attempt, total)
        if stored != total:
            raise UnavailableError(
                "index_unavailable", f"Qdrant holds {stored} of {total} chunks that it acknowledged"
            )

    async def _stored(self, attempt: WorkTry, chunks: int) -> int:
        """Return how many chunks are stored, once what an earlier try left too many is gone."""
        stored = await self._index.count(*attempt.chunks)
        if stored <= chunks:
            return stored
        await self._index.trim(*attempt.chunks, chunks=chunks, stored=stored)
        return await self._index.count(*attempt.chunks)

    async def _publish(
        self, attempt: WorkTry, published: Published, parsed: Parsed | None = None
    ) -> Outcome:
        if attempt.lease.ended is not None:
            # A library has swallowed the cancellation that came with it. Nothing is removed: the
            # same chunks may be another worker's by now, and published.
            raise asyncio.CancelledError(attempt.lease.ended)
        if await self._is_cancelled(attempt):
            return await self._conclude.cancel(attempt)
        outcome = await self._conclude.publish(attempt, published, parsed)
        if isinstance(outcome, Indexed):
            self._metrics.published(attempt.event, attempt.queue, self._clock.now())
        return outcome

    def _published(self, attempt: WorkTry, parsed: Parsed) -> Published:
        event = attempt.event
        return Published(
            version=event.version,
            epoch=event.epoch,
            chunks=len(parsed.chunks),
            sha256=event.sha256,
            fingerprint=self._extractor.fingerprint,
            media_type=event.media_type,
            filename=event.filename,
            metadata=event.metadata,
            pages=parsed.pages,
            pages_with_text=parsed.pages_with_text,
            characters=parsed.characters,
            published_at=self._clock.now(),
        )


def _windows(chunks: tuple[Chunk, ...]) -> Iterator[tuple[Chunk, ...]]:
    for first in range(0, len(chunks), _WINDOW):
        yield chunks[first : first + _WINDOW]


def _points(
    event: DocumentSubmitted, chunks: tuple[Chunk, ...], vectors: Vectors
) -> list[ChunkPoint]:
    return [
        ChunkPoint(
            document_id=event.document_id,
            version=event.version,
            epoch=event.epoch,
            n=chunk.n,
            vector=vector,
            text=chunk.text,
            page=chunk.page,
            start=chunk.start,
            end=chunk.end,
            external_id=event.external_id,
            filename=event.filename,
            metadata=event.metadata,
        )
        for chunk, vector in zip(chunks, vectors, strict=True)
    ]
