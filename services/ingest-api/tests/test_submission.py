import json
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_api.domain.submission import (
    cabinet_id_of,
    external_id_of,
    filename_of,
    metadata_of,
    next_version,
)
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import Version


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param("a.pdf", "a.pdf", id="plain"),
        pytest.param("../../etc/passwd", "passwd", id="parents"),
        pytest.param("C:\\Users\\me\\a.pdf", "a.pdf", id="windows-path"),
        pytest.param("/abs/a.pdf", "a.pdf", id="absolute"),
        pytest.param("Cafe\u0301.txt", "Caf\u00e9.txt", id="nfc"),
        pytest.param("договор.pdf", "договор.pdf", id="cyrillic"),
        pytest.param("x" * 255, "x" * 255, id="longest"),
    ],
)
def test_a_file_name_is_its_last_part_in_nfc(sent: str, expected: str) -> None:
    assert filename_of(sent) == expected


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("", id="empty"),
        pytest.param("..", id="parent"),
        pytest.param("dir/", id="only-a-folder"),
        pytest.param("a\x00.pdf", id="nul"),
        pytest.param("a\r\nb.pdf", id="crlf"),
        pytest.param("a\u202efdp.exe", id="direction"),
        pytest.param("x" * 256, id="too-long"),
        pytest.param("x" * 10_000, id="far-too-long"),
        pytest.param("\ud800", id="surrogate"),
    ],
)
def test_a_name_that_harms_is_refused(sent: str) -> None:
    with pytest.raises(RequestError) as caught:
        filename_of(sent)
    assert caught.value.code == "invalid_name"


def test_an_external_id_keeps_its_slashes() -> None:
    assert external_id_of("contracts/2026/17") == "contracts/2026/17"


@given(st.text(max_size=300))
def test_an_accepted_name_is_stable(name: str) -> None:
    try:
        accepted = filename_of(name)
    except RequestError:
        return
    assert filename_of(accepted) == accepted
    assert unicodedata.is_normalized("NFC", accepted)
    accepted.encode()


@pytest.mark.parametrize(
    "sent", ["0", "-1", "", "1.5", "x", "\uff19", "9007199254740992", "1" * 99]
)
def test_a_cabinet_is_a_positive_integer_that_floats_can_hold(sent: str) -> None:
    with pytest.raises(RequestError):
        cabinet_id_of(sent)


def test_a_list_that_would_grow_beyond_bounds_beside_its_key_is_refused() -> None:
    sent = json.dumps({"k" * 30_000: list(range(3000))}).encode()
    with pytest.raises(RequestError) as caught:
        metadata_of(sent)
    assert caught.value.code == "invalid_metadata"
    tags = {"tags": [f"tag-{n}" for n in range(3000)]}
    assert metadata_of(json.dumps(tags).encode()) == tags


def test_metadata_is_read() -> None:
    assert metadata_of(b'{"year": 2026, "tags": ["a", null, true, 1.5]}') == {
        "year": 2026,
        "tags": ["a", None, True, 1.5],
    }


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"[1]", id="no-object"),
        pytest.param(b"{", id="no-json"),
        pytest.param(b"\xff{}", id="no-utf8"),
        pytest.param(b'{"a": NaN}', id="nan"),
        pytest.param(b'{"a": Infinity}', id="infinity"),
        pytest.param(b'{"a": 1e999}', id="overflow"),
        pytest.param(b'{"a": ' + b"9" * 25 + b"}", id="no-64-bit-integer"),
        pytest.param(b'{"a": ' + b"9" * 10_000 + b"}", id="ten-thousand-digits"),
        pytest.param(b'{"a": "\\ud800"}', id="lone-surrogate"),
        pytest.param(b'{"\\ud800": 1}', id="lone-surrogate-in-key"),
        pytest.param(b'{"a": 1, "a": 2}', id="twice-the-same-key"),
        pytest.param(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", id="deep"),
        pytest.param(b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}", id="very-deep"),
        pytest.param(b'{"a": "' + b"x" * 65_536 + b'"}', id="large"),
    ],
)
def test_metadata_that_some_part_could_not_carry_is_refused(sent: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        metadata_of(sent)
    assert caught.value.code == "invalid_metadata"


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), _JSON))
def test_ordinary_metadata_comes_through_unchanged(value: dict[str, object]) -> None:
    try:
        read = metadata_of(json.dumps(value).encode())
    except RequestError:
        return
    assert read == value


def test_a_version_is_the_time_in_microseconds() -> None:
    assert next_version(datetime(2026, 1, 1, tzinfo=UTC), None) == 1_767_225_600_000_000


def test_a_version_rises_above_one_from_a_clock_that_is_ahead() -> None:
    ahead = Version(1_999_999_999_999_999)
    assert next_version(datetime(2026, 1, 1, tzinfo=UTC), ahead) == ahead + 1
