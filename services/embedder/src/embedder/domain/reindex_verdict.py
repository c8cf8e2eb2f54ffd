"""What a run is to do about one document: judged from values alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum, unique
from typing import Final

from kartoteka_contracts.ids import Version
from kartoteka_contracts.reindex import ReindexMode
from kartoteka_index.manifest import Manifest, Outcome

__all__ = [
    "Known",
    "Listed",
    "Reason",
    "Tombstone",
    "VanishCounts",
    "judge",
    "microseconds",
    "read_with",
    "vanish_fault",
]

_EPOCH: Final = datetime.fromtimestamp(0, UTC)


@unique
class Reason(StrEnum):
    """Why a document is on a run's pages or not; the names of ``RunCounts``."""

    NEW = "new"
    CHANGED = "changed"
    STALE = "stale"
    FORCED = "forced"
    VANISHED = "vanished"
    UNCHANGED = "unchanged"
    PENDING = "pending"
    FAILED_BEFORE = "failed_before"

    @property
    def is_work(self) -> bool:
        """Whether the run does something about it."""
        return self in _WORK


_WORK: Final = frozenset({Reason.NEW, Reason.CHANGED, Reason.STALE, Reason.FORCED, Reason.VANISHED})


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of a source, as compactly as a hundred thousand of them are kept."""

    source: str
    path: str
    stamp: str
    modified: int
    """Microseconds since the epoch."""

    @property
    def external_id(self) -> str:
        """The document's name, before it is normalised."""
        return f"{self.source}://{self.path}"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The record of the delete that stands."""

    is_vanished: bool
    at: int
    """When it was accepted: microseconds since the epoch."""
    now: int
    """Microseconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a document."""

    newest: Version | None
    """The version of its newest record, from the listing of records."""
    manifest: Manifest | None
    listed: Listed | None = None
    """The object of a source that has its name."""
    tombstone: Tombstone | None = None
    """Of a deleted document that has an object; read only then."""

    @property
    def needs_tombstone(self) -> bool:
        """Whether the record of its delete decides what is to be done."""
        manifest = self.manifest
        return (
            self.listed is not None
            and manifest is not None
            and manifest.outcome is Outcome.DELETED
            and not self.is_pending
        )

    @property
    def is_pending(self) -> bool:
        """Whether its newest version is not decided yet."""
        fence = 0 if self.manifest is None else self.manifest.fence
        return self.newest is not None and self.newest > fence


def microseconds(at: datetime) -> int:
    """Return a time (aware) as versions and epochs write it, exactly."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def judge(
    known: Known, *, mode: ReindexMode, fingerprint: str, sources: frozenset[str]
) -> Reason | None:
    """Return what is to be done about a document, and why.

    Args:
        known: of the document.
        mode: of the run.
        fingerprint: of the parser and chunker now.
        sources: names of those that were listed, whole.

    Returns:
        None for a document that is deleted and stays so: it is not even counted.
    """
    manifest = known.manifest
    if known.is_pending:
        return Reason.PENDING
    if mode is ReindexMode.FAILED:
        return _only_failed(manifest)
    if manifest is None or manifest.outcome in {None, Outcome.DELETED}:
        return Reason.NEW if _is_to_come(known) else None
    if manifest.source is not None and manifest.source.source in sources:
        if known.listed is None:
            return Reason.VANISHED
        if known.listed.stamp != manifest.source.stamp:
            return Reason.CHANGED
    return _as_it_is(manifest, mode, fingerprint)


def _only_failed(manifest: Manifest | None) -> Reason | None:
    match None if manifest is None else manifest.outcome:
        case None | Outcome.DELETED:
            return None
        case Outcome.FAILED:
            return Reason.FORCED
        case _:
            return Reason.UNCHANGED


def _is_to_come(known: Known) -> bool:
    """Whether there is an object of what is no document, or none any more.

    Whoever deleted a document meant its object too: not another one that is put there in its place.
    """
    listed, manifest, tombstone = known.listed, known.manifest, known.tombstone
    if listed is None:
        return False
    if manifest is None or manifest.outcome is None:
        return True
    if tombstone is None:
        return False
    if tombstone.is_vanished:
        return True
    if manifest.source is not None:
        return listed.stamp != manifest.source.stamp
    # It was never copied, so only times tell; one that has not come yet tells nothing.
    return tombstone.at < listed.modified <= tombstone.now


def _as_it_is(manifest: Manifest, mode: ReindexMode, fingerprint: str) -> Reason:
    """Return what is to be done about a document of which the content has not changed."""
    match manifest.outcome:
        case Outcome.FAILED:
            return Reason.FAILED_BEFORE
        case Outcome.CANCELLED:
            return Reason.UNCHANGED
        case _ if read_with(manifest) != fingerprint:
            return Reason.STALE
        case _:
            return Reason.FORCED if mode is ReindexMode.FULL else Reason.UNCHANGED


def read_with(manifest: Manifest) -> str | None:
    """Return the fingerprint that the text of a document was read and cut with, if it is known."""
    published = manifest.published
    return manifest.fingerprint if published is None else published.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class VanishCounts:
    """What is to be removed of a source's documents."""

    listed: int
    """Objects that the listing gave."""
    known: int
    """Documents that were copied from it and are not deleted."""
    vanished: int
    """Of these, those whose object is not listed."""


_FEW: Final = 50
_SHARE: Final = 0.2


def vanish_fault(
    sources: Mapping[str, VanishCounts], *, is_confirmed: bool
) -> tuple[str, str] | None:
    """Return why nothing must be removed, as code and message; None where it may.

    A folder that is not mounted and a mistyped prefix list as empty, and without an error.
    """
    if is_confirmed:
        return None
    for name, counts in sorted(sources.items()):
        if counts.known and not counts.listed:
            message = f"source {name!r} lists no object, and {counts.known} documents are of it"
            return "vanish_guard", message
        if counts.vanished > _FEW and counts.vanished > _SHARE * counts.known:
            message = f"{counts.vanished} of {counts.known} objects of source {name!r} are gone"
            return "vanish_guard", message
    return None
