"""What counts as a wrong document."""

from dataclasses import asdict

import pytest

from tests.bench_reindex.truth import Chunk, judge

_OLD = {"a": "one two three four", "b": "five six", "gone": "seven"}
_NEW = {"a": "one two 2 three four", "b": "five six", "new": "eight"}
_RIGHT = [("a", "one two 2"), ("a", "2 three four"), ("b", "five\nsix"), ("new", "eight")]


def _wrong(chunks: list[Chunk]) -> dict[str, int]:
    found = asdict(judge(_NEW, chunks, _OLD))
    return {kind: count for kind, count in found.items() if count and kind != "chunks"}


def test_a_store_that_is_as_the_folder_has_nothing_wrong() -> None:
    assert _wrong(_RIGHT) == {}


@pytest.mark.parametrize(
    ("chunks", "wrong"),
    [
        (_RIGHT[:3], {"missing": 1}),
        (_RIGHT[:1] + _RIGHT[2:], {"incomplete": 1, "lost": 1}),
        ([*_RIGHT, ("gone", "seven")], {"stale": 1}),
        ([*_RIGHT, ("a", "two three")], {"stale": 1, "mixed": 1}),
        ([*_RIGHT, _RIGHT[2]], {"duplicate": 1}),
        ([("a", "one two three four"), *_RIGHT[2:]], {"incomplete": 1, "stale": 1}),
        (_RIGHT[2:], {"missing": 1, "lost": 1}),
    ],
    ids=["absent", "cut", "removed", "both texts", "twice", "old text", "neither text"],
)
def test_each_way_to_be_wrong_is_told(chunks: list[Chunk], wrong: dict[str, int]) -> None:
    assert _wrong(chunks) == wrong
