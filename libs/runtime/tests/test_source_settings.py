"""Which URLs a source may have: nothing escapes an allowed prefix."""

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kartoteka_runtime.env import SettingsError, read
from kartoteka_runtime.source_settings import SourceSettings, SourceUrl

ALLOWED = ("file:///data/shared", "s3://Bucket/team/docs", "s3://whole")

PIECES = st.sampled_from(
    [
        "data",
        "shared",
        "sharedx",
        "..",
        ".",
        "%2e%2e",
        "%2E.",
        "%2f",
        "%252e%252e",
        "\\",
        "a",
        "..%2f",
        "%5c",
        "%00",
        "?x",
        "#x",
        "%20",
        "%ff",
        "*",
        "",
        "a b",
        "team",
        "docs",
        "é",
        "%C3%A9",
    ]
)
STARTS = st.sampled_from(
    [
        "file://",
        "file:///",
        "file:////",
        "FILE:///",
        "file://localhost/",
        "file:/",
        "file:///data/shared/",
        "s3://Bucket/",
        "s3://bucket/",
        "s3://Bucket@evil/",
        "s3://Bucket:80/",
        "s3://Bucket%2fteam/",
        "s3://",
        "s3://whole",
        "s3://whole/",
        "s3://whole.evil/",
        "gs://Bucket/",
        "http://Bucket/",
    ]
)


def settings(*allowed: str) -> SourceSettings:
    return SourceSettings(allowed_urls=allowed)


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("file:///data/shared", True),
        ("file:///data/shared/", True),
        ("file:///data/shared/a%20b", True),
        ("file:///data/sh%61red/x", True),
        ("file:///data/sharedx", False),
        ("file:///data", False),
        ("file:///data/shared/../x", False),
        ("file:///data/shared/%2e%2e/x", False),
        ("file:///data/shared/..%2fx", False),
        ("file:///data/shared/%252e%252e/x", False),
        ("file:///data/shared//x", False),
        ("file:///data/shared/x%00", False),
        ("file://localhost/data/shared", False),
        ("file:///data/Shared", False),
        ("FILE:///data/shared", False),
        ("s3://Bucket/team/docs/sub", True),
        ("s3://bucket/team/docs/sub", False),
        ("s3://Bucket/team/docs2", False),
        ("s3://Bucket/team", False),
        ("gs://Bucket/team/docs", False),
        ("s3://whole", True),
        ("s3://whole/", True),
        ("s3://whole/anything/at/all", True),
        ("s3://wholesale/x", False),
        ("s3://key:secret@whole/x", False),
        ("s3://whole?x/y", False),
        ("s3://whole/a?x", False),
        ("s3:///x", False),
        ("", False),
    ],
)
def test_a_url_is_allowed_by_whole_segments(url: str, is_allowed: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert settings(*ALLOWED).allows(url) is is_allowed


def test_none_is_allowed_unless_somebody_allows_it() -> None:
    assert not settings().allows("file:///data")
    assert not read(SourceSettings, {}).allows("s3://whole")


@given(start=STARTS, pieces=st.lists(PIECES, max_size=6))
@example(start="file:///", pieces=["data", "shared", "%2e%2e", "%2e%2e", "etc"])
def test_what_is_allowed_stays_below_however_often_it_is_decoded(
    start: str, pieces: list[str]
) -> None:
    url = start + "/".join(pieces)
    if not settings(*ALLOWED).allows(url):
        return
    once = unquote(url)
    for reading in (url, once, unquote(once)):
        scheme, _, rest = reading.partition("://")
        resolved = posixpath.normpath(rest.replace("\\", "/"))
        below = {
            "file": ("/data/shared",),
            "s3": ("Bucket/team/docs", "whole"),
        }[scheme]
        assert any(resolved == top or resolved.startswith(top + "/") for top in below), url


@given(text=st.text(max_size=60))
def test_any_text_is_judged_and_a_parsed_url_reads_back(text: str) -> None:
    for url in (text, f"file:///{text}", f"s3://b/{text}"):
        try:
            parsed = SourceUrl.parse(url)
        except ValueError:
            assert not settings(*ALLOWED).allows(url)
            continue
        assert SourceUrl.parse(str(parsed)) == parsed
        assert ".." not in parsed.segments
        assert parsed.contains(parsed)


@given(segments=st.lists(st.sampled_from(["a", "ab", "b"]), min_size=1, max_size=4))
def test_a_prefix_contains_only_what_begins_with_its_segments(segments: list[str]) -> None:
    url = "file:///" + "/".join(segments)
    assert settings("file:///a/b").allows(url) is (segments[:2] == ["a", "b"])


def test_the_list_is_read_from_the_environment() -> None:
    found = read(SourceSettings, {"SOURCE_ALLOWED_URLS": "s3://a/b, file:///c"})
    assert found.allowed_urls == ("s3://a/b", "file:///c")
    assert found.max_bytes == 1024**3
    assert found.credentials_file is None


@pytest.mark.parametrize("url", ["file:///", "s3://", "ftp://x/y", "s3://k:s@b", "file:///a/.."])
def test_a_prefix_that_cannot_be_used_is_named_at_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="SOURCE_ALLOWED_URLS"):
        read(SourceSettings, {"SOURCE_ALLOWED_URLS": url})
