"""Index one version of a document: from its body to a published manifest.

Every step may be repeated: point ids are derived, decisions are conditional, and a try that finds
its own decision goes on from there. A crash at any await is repaired by the next delivery.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from embedder.domain.admission import Work, work_of
from embedder.domain.job import Job, Lease
from embedder.domain.outcome import Empty, Failed, Indexed, Outcome, Superseded, Unchanged
from embedder.domain.parsed import Chunk, Parsed, Rejected
from embedder.domain.window import Place
from embedder.ports import Bodies, ChunkIndex, Embedder, Extractor, StageReport, Vectors
from embedder.usecases.scratch import Scratch
from embedder.usecases.stopwatch import Stopwatch
from embedder.usecases.tidy import OlderBodies
from kartoteka_contracts.access import AuthorisedCabinet, grant
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import DocumentSubmitted, IndexResult
from kartoteka_contracts.tasks import Stage
from kartoteka_index.manifest import KEEP, Decision, Fault, Manifest, Published
from kartoteka_index.manifest import Outcome as Decided
from kartoteka_index.points import ChunkPoint
from kartoteka_runtime.clock import Clock

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One try: what every step needs of it."""

    event: DocumentSubmitted
    kind: Work
    cabinet: AuthorisedCabinet
    lease: Lease
    report: StageReport
    watch: Stopwatch


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
    ) -> None:
        self._bodies = bodies
        self._extractor = extractor
        self._embedder = embedder
        self._index = index
        self._clock = clock
        self._scratch = scratch
        self._older_bodies = OlderBodies(bodies)

    async def run(self, job: Job, lease: Lease, report: StageReport) -> Outcome:
        """Do the work, or find that it is done or overtaken.

        Raises:
            UnavailableError: a dependency is away; the document is not to blame.
            DocumentError: the try failed in a way that may pass.
            KartotekaError: ``body_missing`` or ``body_corrupt``.
        """
        work = _Work(
            event=job.event,
            kind=_kind(job),
            cabinet=grant(job.event.cabinet_id),
            lease=lease,
            report=report,
            watch=Stopwatch(self._clock.monotonic),
        )
        manifest = await self._index.manifest(work.cabinet, work.event.document_id)
        if manifest is not None:
            standing = await self._standing(work, manifest)
            if standing is not None:
                return standing
        extraction = await self._extract(work)
        if isinstance(extraction, Rejected):
            stage = Stage.PARSING
            return await self._fail(work, extraction.code, extraction.message, stage)
        if not extraction.chunks:
            return await self._decide(work, Decided.EMPTY, published=None, parsed=extraction)
        await self._write(work, extraction)
        return await self._publish(work, extraction)

    async def give_up(self, job: Job, code: str, message: str, stage: str) -> Outcome:
        """Record that the work failed for good.

        Returns:
            Failed, or what stands where that was decided before.

        Raises:
            UnavailableError: Qdrant is away.
        """
        work = _Work(
            event=job.event,
            kind=_kind(job),
            cabinet=grant(job.event.cabinet_id),
            lease=Lease(),
            report=lambda _stage, _share: None,
            watch=Stopwatch(self._clock.monotonic),
        )
        return await self._fail(work, code, message, stage)

    async def _standing(self, work: _Work, manifest: Manifest) -> Outcome | None:
        """Return what an earlier decision makes of this work; None where it is still to be done."""
        event = work.event
        decided, asked = (manifest.fence, manifest.epoch), (event.version, event.epoch)
        if decided > asked:
            return Superseded()
        if decided == asked and manifest.outcome is not None:
            if manifest.task_id != event.task_id:
                return Superseded()
            return await self._finish(work, manifest)
        published = manifest.published
        if (
            published is not None
            and published.sha256 == event.sha256
            and published.fingerprint == self._extractor.fingerprint
            and published.metadata == event.metadata
            and published.filename == event.filename
        ):
            decision = self._decision(work, Decided.UNCHANGED)
            return await self._settle(work, decision)
        return None

    async def _extract(self, work: _Work) -> Parsed | Rejected:
        event = work.event
        async with self._scratch.body(work.kind, event.size) as body:
            work.report(Stage.FETCHING, _SHARE[Stage.FETCHING])
            with work.watch.measure(Stage.FETCHING):
                await self._bodies.download(
                    event.body_key, body, size=event.size, sha256=event.sha256
                )
            extraction = await self._extractor.extract(
                body,
                media_type=event.media_type,
                filename=event.filename,
                report=lambda stage, _share: work.report(stage, _SHARE[stage]),
            )
        if isinstance(extraction, Parsed):
            work.watch.add(extraction.seconds)
        return extraction

    async def _write(self, work: _Work, parsed: Parsed) -> None:
        """Embed and store all chunks; none of them is searchable yet."""
        done, total = 0, len(parsed.chunks)
        for window in _windows(parsed.chunks):
            share = _SHARE[Stage.EMBEDDING]
            work.report(Stage.EMBEDDING, share + (_SHARE[Stage.WRITING] - share) * done / total)
            with work.watch.measure(Stage.EMBEDDING):
                vectors = await self._embedder.embed_passages([chunk.tokens for chunk in window])
            with work.watch.measure(Stage.WRITING):
                await self._index.upsert(work.cabinet, _points(work.event, window, vectors))
            done += len(window)
        work.report(Stage.WRITING, _SHARE[Stage.WRITING])

    async def _publish(self, work: _Work, parsed: Parsed) -> Outcome:
        event = work.event
        with work.watch.measure(Stage.WRITING):
            stored = await self._stored(work, len(parsed.chunks))
        if stored != len(parsed.chunks):
            raise UnavailableError(
                "index_unavailable",
                f"Qdrant holds {stored} of {len(parsed.chunks)} chunks that it acknowledged",
            )
        if work.lease.ended is not None:
            # A library has swallowed the cancellation that came with it. Nothing is removed: the
            # same chunks may be another worker's by now, and published.
            raise asyncio.CancelledError(work.lease.ended)
        published = Published(
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
        return await self._decide(work, Decided.PUBLISHED, published=published, parsed=parsed)

    async def _stored(self, work: _Work, chunks: int) -> int:
        """Return how many chunks are stored, once what an earlier try left too many is gone."""
        event = work.event
        of = (work.cabinet, event.document_id, event.version, event.epoch)
        stored = await self._index.count(*of)
        if stored <= chunks:
            return stored
        await self._index.trim(*of, chunks=chunks, stored=stored)
        return await self._index.count(*of)

    async def _decide(
        self, work: _Work, outcome: Decided, *, published: Published | None, parsed: Parsed
    ) -> Outcome:
        decision = self._decision(work, outcome, published=published)
        with work.watch.measure(Stage.WRITING):
            return await self._settle(work, decision, parsed)

    async def _fail(self, work: _Work, code: str, message: str, stage: str) -> Outcome:
        decision = self._decision(work, Decided.FAILED, error=Fault(code=code, message=message))
        outcome = await self._settle(work, decision)
        if isinstance(outcome, Failed):
            return Failed(code=code, message=message, stage=stage)
        return outcome

    def _decision(
        self,
        work: _Work,
        outcome: Decided,
        *,
        published: Published | None = None,
        error: Fault | None = None,
    ) -> Decision:
        event = work.event
        keeps = outcome in {Decided.UNCHANGED, Decided.FAILED}
        return Decision(
            document_id=event.document_id,
            external_id=event.external_id,
            version=event.version,
            epoch=event.epoch,
            outcome=outcome,
            task_id=event.task_id,
            decided_at=self._clock.now(),
            published=KEEP if keeps else published,
            error=error,
        )

    async def _settle(
        self, work: _Work, decision: Decision, parsed: Parsed | None = None
    ) -> Outcome:
        """Write a decision and follow up on what then stands."""
        stands = await self._index.decide(work.cabinet, decision)
        if stands is None:
            return await self._discard(work)
        return await self._finish(work, stands, parsed)

    async def _finish(
        self, work: _Work, manifest: Manifest, parsed: Parsed | None = None
    ) -> Outcome:
        """Remove what this work's own decision made obsolete. Repeated by every redelivery."""
        event, published = work.event, manifest.published
        match manifest.outcome:
            case Decided.PUBLISHED | Decided.EMPTY:
                await self._index.sweep(work.cabinet, event.document_id, event.version, event.epoch)
            case Decided.UNCHANGED if published is not None:
                await self._index.sweep(
                    work.cabinet, event.document_id, published.version, published.epoch
                )
            case Decided.FAILED if manifest.error is not None:
                error = manifest.error
                return Failed(code=error.code, message=error.message, stage=Stage.PARSING)
            case _:
                return Superseded()
        await self._older_bodies.delete(event)
        result = _result(published, parsed, work.watch)
        match manifest.outcome:
            case Decided.PUBLISHED:
                return Indexed(result=result)
            case Decided.EMPTY:
                return Empty(result=result)
            case _:
                return Unchanged(result=result)

    async def _discard(self, work: _Work) -> Outcome:
        event = work.event
        await self._index.discard(work.cabinet, event.document_id, event.version, event.epoch)
        return Superseded()


def _kind(job: Job) -> Work:
    origin = job.record.origin
    return work_of(Place(origin.topic, origin.partition))


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


def _result(published: Published | None, parsed: Parsed | None, watch: Stopwatch) -> IndexResult:
    if published is not None:
        return IndexResult(
            chunks=published.chunks,
            pages=published.pages,
            pages_with_text=published.pages_with_text,
            characters=published.characters,
            seconds=watch.seconds,
        )
    if parsed is not None:
        return IndexResult(
            pages=parsed.pages, pages_with_text=parsed.pages_with_text, seconds=watch.seconds
        )
    return IndexResult(seconds=watch.seconds)
