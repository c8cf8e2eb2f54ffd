"""Which candidates of a search count: those whose (version, epoch) their manifest publishes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kartoteka_contracts.ids import DocumentId, Epoch, Version
from kartoteka_index.manifest import Manifest
from kartoteka_index.search import Hit

__all__ = ["Candidate", "Round", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A chunk that is near, published or not."""

    hit: Hit
    work: tuple[DocumentId, Version, Epoch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of a search came to."""

    hits: list[Hit]
    """At most ``top_k``, nearest first."""
    unpublished: frozenset[tuple[DocumentId, Version, Epoch]]
    """Works to leave out of the next round."""
    dropped: int
    """Candidates that were not published."""
    again: bool
    """Whether another round can find more."""
    overtaken: bool
    """Whether it must be looked for: a publication came between this round's two readings, so a
    document that is searchable all the time can be missing."""


def judge(
    candidates: Sequence[Candidate],
    manifests: Mapping[DocumentId, Manifest],
    *,
    top_k: int,
    without: frozenset[tuple[DocumentId, Version, Epoch]] = frozenset(),
) -> Round:
    """Sort candidates, nearest first, by manifests that were read after them.

    One reading judges a whole round and no hit of an earlier round is kept, so an answer never
    mixes two versions of a document. Another round is due when dropped candidates leave fewer than
    ``top_k``; when one that would have been in the answer was overtaken by a newer publication,
    whose chunks this round may not have seen; and when a work that this round left out
    (``without``) has been published since.
    """
    published = {document: _published(found) for document, found in manifests.items()}
    kept: list[Hit] = []
    dropped = 0
    overtaken = False
    unpublished = {work for work in without if published.get(work[0]) != work[1:]}
    for candidate in candidates:
        document, *candidate_work = candidate.work
        stands = published.get(document)
        if stands == tuple(candidate_work):
            kept.append(candidate.hit)
            continue
        dropped += 1
        unpublished.add(candidate.work)
        overtaken |= stands is not None and tuple(candidate_work) < stands and len(kept) < top_k
    overtaken |= len(without - unpublished) > 0
    return Round(
        hits=kept[:top_k],
        unpublished=frozenset(unpublished),
        dropped=dropped,
        again=(dropped > 0 and len(kept) < top_k) or overtaken,
        overtaken=overtaken,
    )


def _published(manifest: Manifest) -> tuple[Version, Epoch] | None:
    stands = manifest.published
    return None if stands is None else (stands.version, stands.epoch)
