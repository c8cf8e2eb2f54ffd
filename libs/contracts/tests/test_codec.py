import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.codec import decode, encode
from kartoteka_contracts.dead_letter import DeadLetter
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import MalformedEventError, UnsupportedSchemaError
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import CabinetId
from kartoteka_testkit import builders

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_natural = st.none() | st.integers(0, 2**60)


@given(
    external_id=st.text(min_size=1, max_size=50),
    version=st.integers(1, 2**53 - 1),
    epoch=st.integers(0, 2**53 - 1),
    metadata=st.dictionaries(st.text(), _json, max_size=4),
    at=st.datetimes(timezones=st.just(UTC)),
)
def test_decoding_returns_what_was_encoded(
    external_id: str, version: int, epoch: int, metadata: dict[str, object], at: datetime
) -> None:
    event = builders.submitted(
        external_id=external_id, version=version, epoch=epoch, metadata=metadata, accepted_at=at
    )
    assert decode(encode(event)) == event


@given(st.binary())
def test_junk_is_malformed_and_nothing_else(value: bytes) -> None:
    with pytest.raises((MalformedEventError, UnsupportedSchemaError)):
        decode(value)


@pytest.mark.parametrize(
    "value", [None, b"", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"type": 1}'], ids=repr
)
def test_what_is_no_event_is_malformed(value: bytes | None) -> None:
    with pytest.raises(MalformedEventError):
        decode(value)


def test_a_later_schema_version_is_unsupported() -> None:
    raw = json.loads(encode(builders.submitted())) | {"schema_version": 2}
    with pytest.raises(UnsupportedSchemaError, match="version 2"):
        decode(json.dumps(raw).encode())


def test_a_document_keeps_its_key_over_versions() -> None:
    first, second = builders.submitted(version=1), builders.submitted(version=2)
    assert isinstance(first, DocumentSubmitted)
    assert first.key == second.key == f"7/{first.document_id}"


@given(
    event_id=st.text(max_size=40),
    attempt=st.integers(0, 100),
    not_before_ms=_natural,
    first_failed_at_ms=_natural,
)
def test_an_envelope_survives_its_headers(
    event_id: str, attempt: int, not_before_ms: int | None, first_failed_at_ms: int | None
) -> None:
    envelope = Envelope(
        event_id=event_id,
        attempt=attempt,
        not_before_ms=not_before_ms,
        first_failed_at_ms=first_failed_at_ms,
    )
    assert Envelope.from_headers(envelope.to_headers()) == envelope


@given(st.lists(st.tuples(st.text(max_size=12), st.none() | st.binary(max_size=12))))
def test_unreadable_headers_read_as_a_first_try(headers: list[tuple[str, bytes | None]]) -> None:
    envelope = Envelope.from_headers([*headers, ("attempt", b"x")])
    assert envelope.attempt >= 0


@pytest.mark.parametrize("digits", [19, 20, 5000])
def test_a_number_that_fits_nowhere_reads_as_none(digits: int) -> None:
    headers = [("attempt", b"9" * digits), ("not_before", b"9" * digits)]
    assert Envelope.from_headers(headers) == Envelope()


@pytest.mark.parametrize("half", [b"\\ud800", b"\\uDFFF", b"\xed\xa0\x80"])
def test_half_of_a_surrogate_pair_is_no_text(half: bytes) -> None:
    event = encode(builders.submitted(metadata={"note": "HERE \U0001f600"}))
    assert isinstance(decode(event), DocumentSubmitted)
    assert isinstance(decode(event.replace(b"HERE", b"\\ud83d\\ude00")), DocumentSubmitted)
    with pytest.raises(MalformedEventError):
        decode(event.replace(b"HERE", half))


@pytest.mark.parametrize("name", ["x-attempts", "x-first-failed-at", "x-original-offset"])
def test_a_dead_letter_with_a_number_that_fits_nowhere_is_refused(name: str) -> None:
    headers = dict(_letter().to_headers()) | {name: b"9" * 19}
    with pytest.raises(ValueError, match="64 bits"):
        DeadLetter.from_headers(list(headers.items()))


def test_a_dead_letter_survives_its_headers() -> None:
    assert DeadLetter.from_headers(_letter().to_headers()) == _letter()


def _letter() -> DeadLetter:
    return DeadLetter(
        reason="encrypted",
        message="п" * 3,
        stage="parsing",
        attempts=4,
        first_failed_at_ms=5,
        origin_topic="documents.bulk",
        origin_partition=3,
        origin_offset=9,
        task_id="t",
    )


def test_an_authorised_cabinet_cannot_be_made_by_hand() -> None:
    with pytest.raises(TypeError):
        AuthorisedCabinet(cabinet_id=CabinetId(7), proof=object())
