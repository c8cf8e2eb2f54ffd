"""What is to be done about a document: every case by name, and what holds in all of them."""

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.domain.reindex_verdict import (
    Known,
    Listed,
    Reason,
    Tombstone,
    VanishCounts,
    judge,
    microseconds,
    vanish_fault,
)
from embedder.usecases.reconcile_rules import instant
from kartoteka_contracts.events import SourceObject
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, Version
from kartoteka_contracts.reindex import ReindexMode
from kartoteka_index.manifest import Fault, Manifest, Outcome, Published

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_NOW, _BEFORE = "words-2", "words-1"
_LISTED = Listed("docs", "a.txt", "stamp", 100)
_SOURCES = frozenset({"docs"})


def _manifest(
    outcome: Outcome | None = Outcome.PUBLISHED,
    *,
    fence: int = 5,
    stamp: str | None = None,
    source: str = "docs",
    fingerprint: str | None = _NOW,
    published: str | None = None,
) -> Manifest:
    is_published = outcome is Outcome.PUBLISHED or published is not None
    return Manifest(
        cabinet_id=CabinetId(7),
        document_id=DocumentId("d"),
        external_id="docs://a.txt",
        fence=Version(fence),
        epoch=Epoch(0),
        outcome=outcome,
        task_id=None,
        published=_published(published or fingerprint or _NOW) if is_published else None,
        error=Fault(code="malformed", message="") if outcome is Outcome.FAILED else None,
        source=None if stamp is None else SourceObject(source=source, path="a.txt", stamp=stamp),
        fingerprint=fingerprint,
    )


def _published(fingerprint: str) -> Published:
    return Published(
        version=Version(5),
        epoch=Epoch(0),
        chunks=1,
        sha256="0" * 64,
        fingerprint=fingerprint,
        media_type="text/plain",
        filename="a.txt",
        published_at=_AT,
    )


def _judged(
    manifest: Manifest | None,
    listed: Listed | None = None,
    *,
    newest: int | None = 5,
    mode: ReindexMode = ReindexMode.CHANGED,
    tombstone: Tombstone | None = None,
) -> Reason | None:
    known = Known(
        newest=None if newest is None else Version(newest),
        manifest=manifest,
        listed=listed,
        tombstone=tombstone,
    )
    return judge(known, mode=mode, fingerprint=_NOW, sources=_SOURCES)


def _copied(stamp: str) -> Manifest:
    return _manifest(Outcome.DELETED, stamp=stamp, fingerprint=None)


def _tombstone(*, at: int = 100, now: int = 1000, is_vanished: bool = False) -> Tombstone:
    return Tombstone(is_vanished=is_vanished, at=at, now=now)


_DELETED = _manifest(Outcome.DELETED, fingerprint=None)
_CASES: list[tuple[str, Reason | None, Any]] = [
    ("an object nobody knows is new", Reason.NEW, lambda: _judged(None, _LISTED, newest=None)),
    (
        "an object of which only tries were counted is new",
        Reason.NEW,
        lambda: _judged(_manifest(None, fence=0, fingerprint=None), _LISTED, newest=None),
    ),
    ("what is recorded only is pending", Reason.PENDING, lambda: _judged(None)),
    (
        "a newer record is pending, changed or not",
        Reason.PENDING,
        lambda: _judged(_manifest(stamp="old"), _LISTED, newest=6),
    ),
    (
        "another stamp is changed",
        Reason.CHANGED,
        lambda: _judged(_manifest(stamp="old"), _LISTED),
    ),
    (
        "what changed and failed is changed",
        Reason.CHANGED,
        lambda: _judged(_manifest(Outcome.FAILED, stamp="old"), _LISTED),
    ),
    (
        "what changed and was cancelled is changed",
        Reason.CHANGED,
        lambda: _judged(_manifest(Outcome.CANCELLED, stamp="old"), _LISTED),
    ),
    ("no object any more is vanished", Reason.VANISHED, lambda: _judged(_manifest(stamp="old"))),
    (
        "an unlisted source's is left alone",
        Reason.UNCHANGED,
        lambda: _judged(_manifest(stamp="old", source="other")),
    ),
    ("an upload does not vanish", Reason.UNCHANGED, lambda: _judged(_manifest())),
    (
        "an upload is not touched by an object of its name",
        Reason.UNCHANGED,
        lambda: _judged(_manifest(), _LISTED),
    ),
    (
        "another fingerprint is stale",
        Reason.STALE,
        lambda: _judged(_manifest(fingerprint=_BEFORE)),
    ),
    (
        "an empty document is stale too",
        Reason.STALE,
        lambda: _judged(_manifest(Outcome.EMPTY, fingerprint=_BEFORE)),
    ),
    (
        "chunks of an older parser are stale, whoever found them unchanged",
        Reason.STALE,
        lambda: _judged(_manifest(Outcome.UNCHANGED, published=_BEFORE)),
    ),
    ("the same again is unchanged", Reason.UNCHANGED, lambda: _judged(_manifest())),
    (
        "full forces it",
        Reason.FORCED,
        lambda: _judged(_manifest(Outcome.EMPTY), mode=ReindexMode.FULL),
    ),
    (
        "full leaves what failed",
        Reason.FAILED_BEFORE,
        lambda: _judged(_manifest(Outcome.FAILED), mode=ReindexMode.FULL),
    ),
    (
        "full leaves what was cancelled",
        Reason.UNCHANGED,
        lambda: _judged(_manifest(Outcome.CANCELLED), mode=ReindexMode.FULL),
    ),
    (
        "failed forces what failed",
        Reason.FORCED,
        lambda: _judged(_manifest(Outcome.FAILED, stamp="old"), mode=ReindexMode.FAILED),
    ),
    (
        "failed leaves what is stale or vanished",
        Reason.UNCHANGED,
        lambda: _judged(_manifest(stamp="old", fingerprint=_BEFORE), mode=ReindexMode.FAILED),
    ),
    ("the deleted is not even counted", None, lambda: _judged(_DELETED)),
    (
        "what a user deleted stays so while its object is the same, whatever its time",
        None,
        lambda: _judged(_copied("stamp"), _LISTED, tombstone=_tombstone(at=99)),
    ),
    (
        "another object is new, whatever its time",
        Reason.NEW,
        lambda: _judged(_copied("old"), _LISTED, tombstone=_tombstone(at=101)),
    ),
    (
        "what was never copied stays deleted while its object is older",
        None,
        lambda: _judged(_DELETED, _LISTED, tombstone=_tombstone(at=100)),
    ),
    (
        "unless its object is newer",
        Reason.NEW,
        lambda: _judged(_DELETED, _LISTED, tombstone=_tombstone(at=99)),
    ),
    (
        "but not of a time that has not come",
        None,
        lambda: _judged(_DELETED, _LISTED, tombstone=_tombstone(at=98, now=99)),
    ),
    (
        "the vanished comes back with its object",
        Reason.NEW,
        lambda: _judged(_DELETED, _LISTED, tombstone=_tombstone(is_vanished=True)),
    ),
    (
        "the vanished comes back with the same object",
        Reason.NEW,
        lambda: _judged(_copied("stamp"), _LISTED, tombstone=_tombstone(is_vanished=True)),
    ),
    (
        "what was deleted is not vanished",
        None,
        lambda: _judged(_copied("stamp"), tombstone=_tombstone()),
    ),
]


@pytest.mark.parametrize(
    ("reason", "case"), [case[1:] for case in _CASES], ids=[case[0] for case in _CASES]
)
def test_a_document_is_judged(reason: Reason | None, case: Any) -> None:
    assert case() is reason


_MANIFESTS = [
    _manifest(outcome, stamp=stamp, source=source, fingerprint=fingerprint)
    for outcome, stamp, source, fingerprint in product(
        [None, *Outcome], [None, "stamp", "old"], ["docs", "other"], [_NOW, _BEFORE, None]
    )
]
_knowns = st.builds(
    Known,
    newest=st.sampled_from([None, Version(1), Version(5), Version(6)]),
    manifest=st.sampled_from([None, *_MANIFESTS]),
    listed=st.sampled_from([None, _LISTED]),
    tombstone=st.sampled_from([None, _tombstone(), _tombstone(is_vanished=True)]),
)
_modes = st.sampled_from(list(ReindexMode))


@given(_knowns, _modes)
def test_what_is_pending_or_deleted_by_a_user_is_never_touched(
    known: Known, mode: ReindexMode
) -> None:
    reason = judge(known, mode=mode, fingerprint=_NOW, sources=_SOURCES)
    manifest = known.manifest
    if known.newest is not None and known.newest > (0 if manifest is None else manifest.fence):
        assert reason is Reason.PENDING
    elif manifest is not None and manifest.outcome is Outcome.DELETED:
        assert reason in {None, Reason.NEW}
        if reason is Reason.NEW:
            assert known.listed is not None
            assert known.tombstone is not None
            is_other = manifest.source is not None and manifest.source.stamp != _LISTED.stamp
            assert known.tombstone.is_vanished or is_other


@given(_knowns, _modes)
def test_only_a_listed_source_removes_and_only_its_own(known: Known, mode: ReindexMode) -> None:
    reason = judge(known, mode=mode, fingerprint=_NOW, sources=_SOURCES)
    if reason is Reason.VANISHED:
        assert known.listed is None
        assert known.manifest is not None
        assert known.manifest.source is not None
        assert known.manifest.source.source == "docs"
        assert mode is not ReindexMode.FAILED
    nothing = judge(known, mode=mode, fingerprint=_NOW, sources=frozenset())
    assert nothing is not Reason.VANISHED


@given(_knowns)
def test_the_failed_mode_does_failed_ones_only(known: Known) -> None:
    reason = judge(known, mode=ReindexMode.FAILED, fingerprint=_NOW, sources=_SOURCES)
    is_failed = known.manifest is not None and known.manifest.outcome is Outcome.FAILED
    assert reason is None or not reason.is_work or (reason is Reason.FORCED and is_failed)


@given(st.integers(0, 2**53 - 1))
def test_a_time_is_exact_in_microseconds(number: int) -> None:
    assert microseconds(instant(number)) == number


@pytest.mark.parametrize(
    ("listed", "known", "vanished", "is_refused"),
    [
        (0, 0, 0, False),
        (0, 1, 1, True),
        (0, 60, 0, True),
        (10, 60, 50, False),
        (9, 60, 51, True),
        (204, 255, 51, False),
        (203, 254, 51, True),
        (1, 49, 48, False),
    ],
)
def test_suspiciously_many_are_not_removed(
    listed: int,
    known: int,
    vanished: int,
    is_refused: bool,  # noqa: FBT001 - a case
) -> None:
    counts = {
        "a": VanishCounts(listed=9, known=9, vanished=0),
        "docs": VanishCounts(listed=listed, known=known, vanished=vanished),
    }
    fault = vanish_fault(counts, is_confirmed=False)
    assert (fault is not None) is is_refused
    if fault is not None:
        assert fault[0] == "vanish_guard"
        assert "'docs'" in fault[1]
    assert vanish_fault(counts, is_confirmed=True) is None
