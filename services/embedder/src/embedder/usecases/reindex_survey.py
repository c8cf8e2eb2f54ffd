"""Compare a cabinet with its records and its sources, in one pass and without writing anything."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from embedder.domain.reindex_verdict import (
    Known,
    Listed,
    Reason,
    Tombstone,
    VanishCounts,
    judge,
    microseconds,
)
from embedder.planner_ports import PlannerArchive, PlannerIndex, SourceError, SourceStore
from embedder.usecases.reconcile_listing import BATCH, batched, records
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.cabinets import Source
from kartoteka_contracts.ids import (
    CabinetId,
    DocumentId,
    Version,
    document_id,
    normalised_external_id,
)
from kartoteka_contracts.keys import record_key
from kartoteka_contracts.records import DeletionRecord, DocumentRecord, Record, read_record
from kartoteka_contracts.reindex import ReindexMode, RunError
from kartoteka_index.manifest import Manifest, Outcome
from kartoteka_runtime.objects import ObjectMissingError

__all__ = ["Found", "Scope", "Survey", "SurveyCabinet"]

_MOST_NAME: Final = 1024
_MOST_ERRORS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What to compare."""

    cabinet: AuthorisedCabinet
    mode: ReindexMode
    sources: Sequence[Source]
    fingerprint: str
    """Of the parser and chunker now."""
    now: int
    """Microseconds since the epoch."""
    only: frozenset[DocumentId] | None = None
    """These documents; None for all."""
    planned: Collection[DocumentId] = frozenset()
    """Documents whose fate is settled: they are compared, but not found again."""

    @property
    def listed(self) -> Sequence[Source]:
        """Of the sources those that are listed, whole: they alone tell what is gone."""
        return () if self.mode is ReindexMode.FAILED else self.sources


@dataclass(frozen=True, slots=True)
class Found:
    """A document that a run has work for, as compactly as a hundred thousand of them are kept."""

    document_id: DocumentId
    external_id: str
    reason: Reason
    expected: int
    """The newest version that is recorded or decided; 0 where there is none."""
    fence: Version
    listed: Listed | None
    chunks: int | None
    """Published now."""


@dataclass(slots=True, kw_only=True)
class Survey:
    """What a comparison found."""

    found: list[Found] = field(default_factory=list)
    reasons: Counter[Reason] = field(default_factory=Counter)
    """Of all documents that were looked at, the planned ones left out."""
    vanishing: dict[str, VanishCounts] = field(default_factory=dict)
    """By source."""
    average_chunks: float | None = None
    """Of the cabinet's published documents; None where there is none."""
    errors: list[RunError] = field(default_factory=list)
    """Objects that can be no document: the first hundred."""
    impossible: int = 0
    """How many there are of those in all."""


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What is summed up on the way."""

    listed: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    vanished: Counter[str] = field(default_factory=Counter)
    published: int = 0
    chunks: int = 0

    def vanishing(self) -> dict[str, VanishCounts]:
        return {
            name: VanishCounts(
                listed=self.listed[name], known=self.known[name], vanished=self.vanished[name]
            )
            for name in self.known
        }


class SurveyCabinet:
    """The comparison. Memory is one small value an object of a source, and one a finding."""

    def __init__(
        self,
        *,
        archive: PlannerArchive,
        index: PlannerIndex,
        sources: SourceStore,
        beat: Callable[[], None],
        max_objects: int,
    ) -> None:
        self._archive = archive
        self._index = index
        self._sources = sources
        self._beat = beat
        self._max_objects = max_objects

    async def run(self, scope: Scope) -> Survey:
        """Compare.

        Sources are listed first: what is uploaded or copied meanwhile is then pending or known,
        and never taken for something that is not there.

        Raises:
            SourceError: a source cannot be listed whole, or holds too much.
            UnavailableError: a store is away.
        """
        survey, tally = Survey(), _Tally()
        objects: dict[DocumentId, Listed] = {}
        for source in scope.listed:
            await self._list(scope, source, survey, tally, objects)
        async for newest in self._recorded(scope):
            await self._judge(scope, newest, survey, tally, objects)
        unknown = list(objects)
        for start in range(0, len(unknown), BATCH):
            newest = dict.fromkeys(unknown[start : start + BATCH])
            await self._judge(scope, newest, survey, tally, objects)
        survey.vanishing = {
            source.name: counts
            for source in scope.listed
            if (counts := tally.vanishing().get(source.name)) is not None
        }
        if tally.published:
            survey.average_chunks = tally.chunks / tally.published
        return survey

    async def _list(
        self,
        scope: Scope,
        source: Source,
        survey: Survey,
        tally: _Tally,
        objects: dict[DocumentId, Listed],
    ) -> None:
        async for page in self._sources.listing(source):
            self._beat()
            tally.listed[source.name] += len(page)
            for one in page:
                listed = Listed(source.name, one.path, one.stamp, microseconds(one.modified))
                if len(normalised_external_id(listed.external_id)) > _MOST_NAME:
                    _note_impossible(survey, listed)
                    continue
                document = document_id(scope.cabinet.cabinet_id, listed.external_id)
                if scope.only is not None and document not in scope.only:
                    continue
                twin = objects.get(document)
                # Two spellings of one name: always the same one of them, or each run would
                # take the document for changed.
                if twin is None or listed.path < twin.path:
                    objects[document] = listed
            if len(objects) > self._max_objects:
                message = f"the sources hold more than {self._max_objects} objects"
                raise SourceError("source_too_large", message)

    async def _recorded(self, scope: Scope) -> AsyncIterator[dict[DocumentId, Version | None]]:
        """Give the documents that have records, with the newest version, in batches."""
        listing = records(self._archive, scope.cabinet.cabinet_id)
        async for batch in batched(listing, BATCH):
            newest = {one.document_id: one.newest for one in batch if one.newest is not None}
            if scope.only is not None:
                newest = {key: value for key, value in newest.items() if key in scope.only}
            if newest:
                yield dict(newest)

    async def _judge(
        self,
        scope: Scope,
        newest: Mapping[DocumentId, Version | None],
        survey: Survey,
        tally: _Tally,
        objects: dict[DocumentId, Listed],
    ) -> None:
        manifests = await self._index.manifests(scope.cabinet, newest)
        self._beat()
        for document, version in newest.items():
            known = await self._known(
                scope,
                document,
                Known(
                    newest=version,
                    manifest=manifests.get(document),
                    listed=objects.pop(document, None),
                ),
            )
            reason = judge(
                known,
                mode=scope.mode,
                fingerprint=scope.fingerprint,
                sources=frozenset(source.name for source in scope.listed),
            )
            _count(tally, known, reason)
            if reason is None or document in scope.planned:
                continue
            survey.reasons[reason] += 1
            if reason.is_work:
                survey.found.append(_found(document, known, reason))

    async def _known(self, scope: Scope, document: DocumentId, known: Known) -> Known:
        """Return what is known with what only a record tells, where that decides."""
        manifest, cabinet = known.manifest, scope.cabinet.cabinet_id
        if manifest is None:
            return known
        if known.needs_tombstone:
            record = await self._record(cabinet, document, manifest.fence)
            is_vanished = isinstance(record, DeletionRecord) and record.is_vanished
            # A version is the time of its request, where the record tells no better.
            at = manifest.fence if record is None else microseconds(record.accepted_at)
            return replace(
                known, tombstone=Tombstone(is_vanished=is_vanished, at=at, now=scope.now)
            )
        if manifest.outcome is Outcome.CANCELLED and manifest.source is None:
            # Who cancels does not know what the version was copied from.
            record = await self._record(cabinet, document, manifest.fence)
            if isinstance(record, DocumentRecord):
                return replace(known, manifest=replace(manifest, source=record.source))
        return known

    async def _record(
        self, cabinet: CabinetId, document: DocumentId, version: Version
    ) -> Record | None:
        try:
            return read_record(await self._archive.read(record_key(cabinet, document, version)))
        except ObjectMissingError:
            return None


def _count(tally: _Tally, known: Known, reason: Reason | None) -> None:
    manifest = known.manifest
    if manifest is None:
        return
    if manifest.published is not None:
        tally.published += 1
        tally.chunks += manifest.published.chunks
    if manifest.source is not None and manifest.outcome is not Outcome.DELETED:
        tally.known[manifest.source.source] += 1
        tally.vanished[manifest.source.source] += reason is Reason.VANISHED


def _found(document: DocumentId, known: Known, reason: Reason) -> Found:
    manifest = known.manifest
    return Found(
        document,
        _name(known.listed, manifest),
        reason,
        max(known.newest or 0, 0 if manifest is None else manifest.fence),
        Version(0) if manifest is None else manifest.fence,
        known.listed,
        None if manifest is None or manifest.published is None else manifest.published.chunks,
    )


def _name(listed: Listed | None, manifest: Manifest | None) -> str:
    if manifest is not None:
        return manifest.external_id
    return "" if listed is None else normalised_external_id(listed.external_id)


def _note_impossible(survey: Survey, listed: Listed) -> None:
    survey.impossible += 1
    if len(survey.errors) < _MOST_ERRORS:
        message = f"the object's name has more than {_MOST_NAME} characters"
        survey.errors.append(
            RunError(external_id=listed.external_id, code="invalid_name", message=message)
        )
