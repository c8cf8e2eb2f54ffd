"""Decide about one work, and follow up on whatever then stands."""

from embedder.domain.outcome import (
    Cancelled,
    Empty,
    Failed,
    Indexed,
    Outcome,
    Superseded,
    Unchanged,
)
from embedder.domain.parsed import Parsed
from embedder.ports import Bodies, ChunkIndex, Extractor
from embedder.usecases.stopwatch import Stopwatch
from embedder.usecases.tidy import OlderBodies
from embedder.usecases.work_try import WorkTry
from kartoteka_contracts.events import IndexResult
from kartoteka_contracts.ids import Epoch
from kartoteka_contracts.tasks import Stage
from kartoteka_index.manifest import KEEP, Decision, Fault, Keep, Manifest, Published
from kartoteka_index.manifest import Outcome as Decided
from kartoteka_runtime.clock import Clock

__all__ = ["ConcludeWork"]


class ConcludeWork:
    """Writes decisions, and removes what they make obsolete.

    Whatever is asked for, the outcome is that of the decision which stands. All calls raise
    UnavailableError where a store is away, and are safe to repeat.
    """

    def __init__(
        self, *, index: ChunkIndex, bodies: Bodies, extractor: Extractor, clock: Clock
    ) -> None:
        self._index = index
        self._older_bodies = OlderBodies(bodies)
        self._extractor = extractor
        self._clock = clock

    async def standing(self, attempt: WorkTry) -> Outcome | None:
        """Return what an earlier decision makes of this work; None where it is still to be done."""
        manifest = attempt.seen
        if manifest is None:
            return None
        decided = (manifest.fence, manifest.epoch)
        if decided > attempt.order:
            return await self._discard(attempt, manifest)
        if decided == attempt.order and manifest.outcome is not None:
            if manifest.task_id != attempt.event.task_id:
                return Superseded()
            return await self._finish(attempt, manifest)
        starts = manifest.starts
        if starts is not None and (starts.version, starts.epoch) > attempt.order:
            # Begun, so its event is there and will be delivered until it is decided.
            return Superseded()
        return None

    async def publish(
        self, attempt: WorkTry, published: Published, parsed: Parsed | None = None
    ) -> Outcome:
        """Let a search find this work's chunks, and no others of the document."""
        return await self._settle(attempt, Decided.PUBLISHED, published=published, parsed=parsed)

    async def empty(self, attempt: WorkTry, parsed: Parsed) -> Outcome:
        """Let a search find nothing of the document any more."""
        return await self._settle(attempt, Decided.EMPTY, published=None, parsed=parsed)

    async def unchanged(self, attempt: WorkTry, published: Published) -> Outcome:
        """Keep what is published, as this version's."""
        return await self._settle(attempt, Decided.UNCHANGED, only_while=published)

    async def fail(self, attempt: WorkTry, code: str, message: str, stage: str) -> Outcome:
        """Keep what is published, and the reason why nothing newer is."""
        fault = Fault(code=code, message=message)
        outcome = await self._settle(attempt, Decided.FAILED, error=fault)
        if isinstance(outcome, Failed):
            return Failed(code=code, message=message, stage=stage)
        return outcome

    async def cancel(self, attempt: WorkTry) -> Outcome:
        """Keep what is published, since somebody took this version back."""
        return await self._settle(attempt, Decided.CANCELLED)

    async def _settle(
        self,
        attempt: WorkTry,
        outcome: Decided,
        *,
        published: Published | Keep | None = KEEP,
        error: Fault | None = None,
        only_while: Published | None = None,
        parsed: Parsed | None = None,
    ) -> Outcome:
        event = attempt.event
        decision = Decision(
            document_id=event.document_id,
            external_id=event.external_id,
            version=event.version,
            epoch=event.epoch,
            outcome=outcome,
            task_id=event.task_id,
            decided_at=self._clock.now(),
            published=published,
            error=error,
            only_while=only_while,
            source=event.source,
            fingerprint=self._extractor.fingerprint,
        )
        with attempt.watch.measure(Stage.WRITING):
            stands = await self._index.decide(attempt.cabinet, decision, is_open=attempt.is_open)
            if stands is not None:
                return await self._finish(attempt, stands, parsed)
            stands = await self._index.manifest(attempt.cabinet, event.document_id)
            return await self._discard(attempt, stands)

    async def _finish(
        self, attempt: WorkTry, manifest: Manifest, parsed: Parsed | None = None
    ) -> Outcome:
        """Remove what this work's own decision made obsolete. Repeated by every redelivery."""
        event, published = attempt.event, manifest.published
        cabinet, document, version, epoch = attempt.chunks
        match manifest.outcome:
            case Decided.PUBLISHED:
                await self._index.sweep(cabinet, document, version, epoch)
            case Decided.EMPTY:
                # Its own ones too: another release's parser may have found text.
                await self._index.sweep(cabinet, document, version, Epoch(epoch + 1))
            case Decided.UNCHANGED if published is not None:
                await self._index.sweep(cabinet, document, published.version, published.epoch)
            case Decided.FAILED if manifest.error is not None:
                await self._index.discard(*attempt.chunks)
                error = manifest.error
                return Failed(code=error.code, message=error.message, stage=Stage.PARSING)
            case Decided.CANCELLED:
                await self._index.discard(*attempt.chunks)
                return Cancelled()
            case _:
                return Superseded()
        await self._older_bodies.delete(event)
        result = _result(published, parsed, attempt.watch)
        match manifest.outcome:
            case Decided.PUBLISHED:
                return Indexed(result=result)
            case Decided.EMPTY:
                return Empty(result=result)
            case _:
                return Unchanged(result=result)

    async def _discard(self, attempt: WorkTry, stands: Manifest | None) -> Outcome:
        """Remove the overtaken work's chunks.

        Not where they are published: newer work may have kept them, and this try is a late twin of
        the one that published them. And not before the fence has passed: a twin may yet do so.
        """
        if stands is not None and (stands.fence, stands.epoch) >= attempt.order:
            published = stands.published
            if published is None or (published.version, published.epoch) != attempt.order:
                await self._index.discard(*attempt.chunks)
        return Superseded()


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
