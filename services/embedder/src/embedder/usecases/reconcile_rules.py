"""What may be repeated and what may be removed: judged from values alone."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from kartoteka_contracts.ids import Version
from kartoteka_index.manifest import Manifest, Outcome
from kartoteka_index.upkeep import Work

__all__ = [
    "Ages",
    "instant",
    "is_decided",
    "is_due",
    "is_published",
    "is_undecided",
    "lowest_needed",
    "may_matter",
]

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How old a thing must be before reconciliation touches it."""

    grace: timedelta = timedelta(seconds=60)
    """A record whose event was not seen yet: it may be on its way."""
    orphan: timedelta = _HOUR
    """Chunks that nothing publishes; a delete of a cabinet that may be finished."""
    claim: timedelta = _DAY
    """What an Idempotency-Key stands for."""
    body: timedelta = _DAY + 2 * _HOUR
    """A body that no record names, or only obsolete ones. More than a claim's: who read a claim
    just before it went may yet write the record of its body."""
    record: timedelta = timedelta(days=45)
    """Older records, all that is left of a deleted document, and requests to delete a cabinet:
    longer than any topic keeps the events that could bring something back."""
    run: timedelta = 7 * _DAY
    """What an ended run has kept."""
    settings: timedelta = 6 * _HOUR
    """Until then new settings are sent again: who wrote them may have died before the event."""


def is_undecided(newest: Version, manifest: Manifest | None) -> bool:
    """Whether nothing was decided about the newest record of a document yet."""
    return manifest is None or newest > manifest.fence


def is_published(work: Work, manifest: Manifest | None) -> bool:
    """Whether a search may find the chunks of a work."""
    published = None if manifest is None else manifest.published
    return published is not None and (published.version, published.epoch) == work[1:]


def is_decided(work: Work, manifest: Manifest | None) -> bool:
    """Whether nothing can publish a work any more that is not published."""
    return manifest is not None and work[1:] <= (manifest.fence, manifest.epoch)


def lowest_needed(manifest: Manifest | None) -> Version:
    """Return the lowest version whose record and body may still be asked for.

    What is published may be indexed anew from its body, and what failed since may be replayed.
    """
    if manifest is None:
        return Version(0)
    published = manifest.published
    if published is not None:
        affirmed = manifest.affirmed
        return published.version if affirmed is None else max(affirmed, published.version)
    is_deleted = manifest.outcome is Outcome.DELETED
    return Version(manifest.fence + 1) if is_deleted else manifest.fence


def may_matter(mark: Version, manifest: Manifest) -> bool:
    """Whether a rebuild still needs to know that a decided version was cancelled.

    Its record stands beside the mark for as long; without the mark it would be indexed.
    """
    if mark == manifest.fence:
        return manifest.outcome is Outcome.CANCELLED
    return lowest_needed(manifest) < mark < manifest.fence


def is_due(floor: Version, versions: Collection[Version], manifest: Manifest | None) -> bool:
    """Whether a cabinet's delete has left anything of a document.

    Args:
        floor: of the delete: all below it is to go.
        versions: of the document's records.
        manifest: what stands about it.
    """
    if manifest is None or manifest.fence == 0:
        return any(version < floor for version in versions)
    if manifest.fence < floor:
        return True
    published = manifest.published
    if published is None or published.version >= floor:
        return False
    # Newer work that found the same bytes has asked for what is published again.
    return manifest.affirmed is None or manifest.affirmed < floor


def instant(microseconds: int) -> datetime:
    """Return the time that a version or an epoch names."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
