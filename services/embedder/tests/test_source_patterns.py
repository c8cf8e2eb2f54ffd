"""Which paths a source's patterns take."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.domain.source_patterns import SourcePatterns


def takes(path: str, *include: str, exclude: tuple[str, ...] = ()) -> bool:
    return SourcePatterns.of(include, exclude).takes(path)


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("**", ["a", "a/b", ".x/y"], []),
        ("*", ["a", "a.md"], ["a/b"]),
        ("*.md", ["a.md", ".md"], ["a/b.md", "a.mdx", "a.MD"]),
        ("**/*.md", ["a.md", "a/b.md", "a/b/c.md"], ["a.txt", "a.md/b"]),
        ("docs/**", ["docs/a", "docs/a/b"], ["docs", "docs2/a", "x/docs/a"]),
        ("docs/", ["docs/a", "docs/a/b"], ["docs", "docs2/a"]),
        ("/docs/*", ["docs/a"], ["docs/a/b"]),
        ("**/old/**", ["old/a", "x/old/a", "x/y/old/z/a"], ["old", "x/old", "older/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/x/bb", "ab"]),
        ("?.txt", ["a.txt", "é.txt"], ["ab.txt", ".txt"]),
        ("a[b].txt", ["a[b].txt"], ["ab.txt"]),
        ("x**y", ["xy", "x1y"], ["x/y"]),
        ("", [], ["a"]),
    ],
)
def test_a_pattern_is_of_the_whole_path(pattern: str, taken: list[str], left: list[str]) -> None:
    assert [path for path in taken + left if takes(path, pattern)] == taken


def test_what_is_excluded_is_left_out_even_where_it_is_included() -> None:
    assert takes("a/b.md", "**/*.md", exclude=("drafts/**",))
    assert not takes("drafts/b.md", "**/*.md", exclude=("drafts/**",))
    assert not takes("a.txt", "**/*.md", "docs/**")
    assert takes("docs/a.txt", "**/*.md", "docs/**")


def expression(pattern: str) -> str:
    """Say the same as a regular expression, which may take for ever on longer texts."""
    pieces = pattern.lstrip("/").split("/")
    if pieces[-1] == "" and len(pieces) > 1:
        pieces[-1] = "**"
    *folders, last = pieces
    written = "".join("(?:[^/]+/)*" if each == "**" else _one(each) + "/" for each in folders)
    return written + ("(?:[^/]+/)*[^/]+" if last == "**" else _one(last))


def _one(segment: str) -> str:
    meant = {"*": "[^/]*", "?": "[^/]"}
    return "".join(meant.get(character, re.escape(character)) for character in segment)


@given(
    pattern=st.lists(st.sampled_from(["**", "*", "a", "*a", "?", "a*b*", "b?"]), max_size=5),
    path=st.lists(st.text(alphabet="ab", min_size=1, max_size=4), min_size=1, max_size=5),
)
def test_a_pattern_means_what_its_regular_expression_means(
    pattern: list[str], path: list[str]
) -> None:
    written, told = "/".join(pattern), "/".join(path)
    assert takes(told, written) is (re.fullmatch(expression(written), told) is not None)


@given(path=st.text(min_size=1, max_size=30), pattern=st.text(max_size=30))
def test_any_text_is_a_pattern_and_everything_takes_all(path: str, pattern: str) -> None:
    assert takes(path, pattern) in {True, False}
    assert takes(path, pattern, "**")


def test_a_pattern_made_to_take_for_ever_does_not() -> None:
    began = time.perf_counter()
    assert not takes("a" * 1000, "*a" * 250 + "b")
    assert not takes("a/" * 500 + "a", "**/a/" * 100 + "b")
    assert time.perf_counter() - began < 5
