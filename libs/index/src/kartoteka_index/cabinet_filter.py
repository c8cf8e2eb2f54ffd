"""The one place where filters are made. None is made without a granted cabinet."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from qdrant_client import models

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, PointId, Version
from kartoteka_contracts.tasks import DocumentState
from kartoteka_index.facets import facet
from kartoteka_index.manifest import Outcome, Published, Starts
from kartoteka_index.search import SearchQuery

__all__ = [
    "CABINET",
    "NOTHING",
    "RUN_OF",
    "RUN_REVISION",
    "RUN_STEP",
    "affirmed_up_to",
    "belongs",
    "cabinet_value",
    "chunks_before",
    "chunks_below",
    "chunks_named",
    "chunks_of",
    "chunks_up_to",
    "documents_of",
    "is_document",
    "is_run_of",
    "outside",
    "run_at",
    "runs_in",
    "searched",
    "startable",
    "started",
    "tombstone",
    "undecided",
]

CABINET: Final = "cabinet_id"
RUN_OF: Final = "run_of"
"""Instead of :data:`CABINET`, so that a run is never taken for a document."""
RUN_REVISION: Final = "revision"
RUN_STEP: Final = "run_step"

Work = tuple[DocumentId, Version, Epoch]
"""A document's version and epoch: what one publication or attempt at it is named by."""


NOTHING: Final = models.Filter(must=[models.HasIdCondition(has_id=[])])
"""Matches no point of any cabinet."""


def cabinet_value(cabinet_id: CabinetId) -> str:
    """Return a cabinet as payloads have it: only keyword indexes can be a tenant's."""
    return str(cabinet_id)


def belongs(cabinet: AuthorisedCabinet, payload: Mapping[str, Any] | None) -> bool:
    """Whether a point that came back is the cabinet's: nothing in Qdrant enforces it for us."""
    return payload is not None and payload.get(CABINET) == cabinet_value(cabinet.cabinet_id)


def is_document(payload: Mapping[str, Any] | None) -> bool:
    """Whether a point that came back is of any cabinet's document, and not of its runs."""
    return payload is not None and CABINET in payload


def is_run_of(cabinet: AuthorisedCabinet, payload: Mapping[str, Any] | None) -> bool:
    """Whether a point that came back is the state of the cabinet's runs."""
    return payload is not None and payload.get(RUN_OF) == cabinet_value(cabinet.cabinet_id)


def run_at(cabinet: AuthorisedCabinet, own: str, revision: int) -> models.Filter:
    """Return the filter for the state of the cabinet's runs where it is of this revision."""
    _require_grant(cabinet)
    return models.Filter(
        must=[
            models.HasIdCondition(has_id=[own]),
            _equals(RUN_OF, cabinet_value(cabinet.cabinet_id)),
            _equals(RUN_REVISION, revision),
        ]
    )


def runs_in(steps: Sequence[str]) -> models.Filter:
    """Return the filter for the runs of all cabinets in one of these steps."""
    return models.Filter(must=[_any(RUN_STEP, [str(step) for step in steps])])


def chunks_of(
    cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
) -> models.Filter:
    """Return the filter for the chunks of exactly one work."""
    return _within(cabinet, must=_work((document_id, version, epoch)))


def chunks_below(
    cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
) -> models.Filter:
    """Return the filter for a document's chunks strictly below (version, epoch)."""
    return _within(
        cabinet,
        must=[_equals("document_id", document_id), _below("version", version, "epoch", epoch)],
    )


def chunks_before(cabinet: AuthorisedCabinet, microseconds: int) -> models.Filter:
    """Return the filter for a cabinet's chunks of work that was asked for before a time."""
    earlier = models.Range(lt=microseconds)
    return _within(
        cabinet,
        must=[
            models.FieldCondition(key="version", range=earlier),
            models.FieldCondition(key="epoch", range=earlier),
        ],
    )


def chunks_named(cabinet: AuthorisedCabinet, ids: Sequence[PointId]) -> models.Filter:
    """Return the filter for chunks by their ids."""
    return _within(cabinet, must=[models.HasIdCondition(has_id=list(ids))])


def chunks_up_to(
    cabinet: AuthorisedCabinet,
    version: Version,
    *,
    document_id: DocumentId | None = None,
    without: Sequence[DocumentId] = (),
) -> models.Filter:
    """Return the filter for the chunks of this and all lower versions.

    Args:
        cabinet: the granted one.
        version: the highest.
        document_id: of which; None for all documents of the cabinet.
        without: documents to leave out.
    """
    must: list[models.Condition] = [_at_most("version", version)]
    if document_id is not None:
        must.append(_equals("document_id", document_id))
    return _within(
        cabinet, must=must, must_not=[_any("document_id", list(without))] if without else ()
    )


def undecided(
    cabinet: AuthorisedCabinet,
    document_id: DocumentId,
    version: Version,
    epoch: Epoch,
    *,
    only_while: Published | None = None,
) -> models.Filter:
    """Return the filter for a document's manifest where only lower work is decided.

    Args:
        cabinet: the granted one.
        document_id: of which.
        version: with ``epoch``: of the work.
        epoch: as above.
        only_while: and where this is published; None for whatever is.
    """
    must: list[models.Condition] = [_below("fence", version, "epoch", epoch)]
    if only_while is not None:
        must.append(_equals("published.version", only_while.version))
        must.append(_equals("published.epoch", only_while.epoch))
    return _manifest(cabinet, document_id, must)


def startable(
    cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
) -> models.Filter:
    """Return the filter for a document's manifest where no higher work is begun or decided."""
    return _manifest(
        cabinet,
        document_id,
        [_below("fence", version, "epoch", epoch)],
        [_above("starts.version", version, "starts.epoch", epoch)],
    )


def started(cabinet: AuthorisedCabinet, document_id: DocumentId, starts: Starts) -> models.Filter:
    """Return the filter for a document's manifest where exactly these tries are counted."""
    return _manifest(
        cabinet,
        document_id,
        [
            _equals("starts.version", starts.version),
            _equals("starts.epoch", starts.epoch),
            _equals("starts.begun", starts.begun),
        ],
    )


def affirmed_up_to(
    cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version
) -> models.Filter:
    """Return the filter for a document's manifest if it publishes for no version above this."""
    return _manifest(cabinet, document_id, [_at_most("affirmed", version)])


def tombstone(
    cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
) -> models.Filter:
    """Return the filter for a document's manifest if this delete is the last that befell it."""
    decided = [_equals("fence", version), _equals("epoch", epoch)]
    untouched = models.IsEmptyCondition(is_empty=models.PayloadField(key="starts"))
    return _manifest(
        cabinet, document_id, [*decided, _equals("outcome", Outcome.DELETED), untouched]
    )


def outside(cabinets: Collection[CabinetId]) -> models.Filter:
    """Return the filter for what is of none of these cabinets: only to learn of others."""
    known = [cabinet_value(cabinet) for cabinet in sorted(cabinets)]
    return models.Filter(must_not=[_any(CABINET, known)] if known else None)


def documents_of(cabinet: AuthorisedCabinet, state: DocumentState | None = None) -> models.Filter:
    """Return the filter for a cabinet's decided manifests, in one state or in any."""
    decided = models.FieldCondition(key="fence", range=models.Range(gt=0))
    if state is None:
        return _within(cabinet, must=[decided])
    return _within(cabinet, must=[decided, _in_state(state)])


def _in_state(state: DocumentState) -> models.Condition:
    """Return the condition that says of payloads what ``Manifest.state`` says of values."""
    nothing = models.IsEmptyCondition(is_empty=models.PayloadField(key="published"))
    cancelled = _equals("outcome", Outcome.CANCELLED)
    match state:
        case DocumentState.INDEXED:
            settled = _any("outcome", [Outcome.PUBLISHED, Outcome.UNCHANGED])
            kept = models.Filter(must=[cancelled], must_not=[nothing])
            return models.Filter(should=[settled, kept])
        case DocumentState.ACCEPTED:
            return models.Filter(must=[cancelled, nothing])
        case DocumentState.EMPTY | DocumentState.FAILED | DocumentState.DELETED:
            return _equals("outcome", state)


def searched(
    cabinet: AuthorisedCabinet, query: SearchQuery, *, without: Sequence[Work] = ()
) -> models.Filter:
    """Return the filter of a search.

    Args:
        cabinet: the granted one.
        query: what is asked for.
        without: works whose chunks are known not to be published.
    """
    must: list[models.Condition] = []
    if query.document_ids:
        must.append(_any("document_id", [str(document) for document in query.document_ids]))
    if query.external_ids:
        must.append(_any("external_id", list(query.external_ids)))
    for key, wanted in query.metadata.items():
        values = [wanted] if wanted is None or isinstance(wanted, str | int | float) else wanted
        must.append(_any("facets", [facet(key, value) for value in values]))
    return _within(
        cabinet, must=must, must_not=[models.Filter(must=_work(work)) for work in without]
    )


def _within(
    cabinet: AuthorisedCabinet,
    *,
    must: Sequence[models.Condition],
    must_not: Sequence[models.Condition] = (),
) -> models.Filter:
    _require_grant(cabinet)
    own = _equals(CABINET, cabinet_value(cabinet.cabinet_id))
    return models.Filter(must=[own, *must], must_not=list(must_not) or None)


def _require_grant(cabinet: AuthorisedCabinet) -> None:
    if not isinstance(cabinet, AuthorisedCabinet):
        raise TypeError("a filter takes an AuthorisedCabinet, which only an access check makes")


def _work(work: Work) -> list[models.Condition]:
    document_id, version, epoch = work
    return [
        _equals("document_id", document_id),
        _equals("version", version),
        _equals("epoch", epoch),
    ]


def _below(major: str, version: Version, minor: str, epoch: Epoch) -> models.Filter:
    """Return (major, minor) < (version, epoch), the pairs compared from the left."""
    lower = models.FieldCondition(key=major, range=models.Range(lt=version))
    same_but_lower = models.Filter(
        must=[
            _equals(major, version),
            models.FieldCondition(key=minor, range=models.Range(lt=epoch)),
        ]
    )
    return models.Filter(should=[lower, same_but_lower])


def _above(major: str, version: Version, minor: str, epoch: Epoch) -> models.Filter:
    """Return (major, minor) > (version, epoch), the pairs compared from the left."""
    higher = models.FieldCondition(key=major, range=models.Range(gt=version))
    same_but_higher = models.Filter(
        must=[
            _equals(major, version),
            models.FieldCondition(key=minor, range=models.Range(gt=epoch)),
        ]
    )
    return models.Filter(should=[higher, same_but_higher])


def _manifest(
    cabinet: AuthorisedCabinet,
    document_id: DocumentId,
    must: Sequence[models.Condition],
    must_not: Sequence[models.Condition] = (),
) -> models.Filter:
    own = models.HasIdCondition(has_id=[document_id])
    return _within(cabinet, must=[own, *must], must_not=must_not)


def _at_most(key: str, version: Version) -> models.FieldCondition:
    return models.FieldCondition(key=key, range=models.Range(lte=version))


def _equals(key: str, value: str | int) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _any(key: str, values: list[str]) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchAny(any=values))
