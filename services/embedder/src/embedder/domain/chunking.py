"""Cutting a document's text into chunks that fit the model, by the offsets of its tokens."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from embedder.domain.parsed import Chunk
from embedder.domain.reading import Reading
from embedder.domain.tokens import Tokenized

__all__ = ["CHUNKING_REVISION", "ChunkPolicy", "cut"]

CHUNKING_REVISION: Final = 2
"""Raised whenever :func:`cut` would cut elsewhere, so that documents are read again."""

# Each takes linear time on any text: no unbounded repetition is tried from several starts.
_PARAGRAPH: Final = re.compile(r"\n[^\S\n]*+\n\s*+")
_LINE: Final = re.compile(r"\n\s*+")
# One set of characters comes first: a search for it is ten times as fast as one for a choice.
_SENTENCE: Final = re.compile(
    r"[.!?…。！？]"  # noqa: RUF001 - CJK ends
    r"(?:(?<=[。！？])[\"”’」』）]{0,3}\s*+"  # noqa: RUF001 - CJK ends
    r"|[\"'»”’)\]]{0,3}\s++(?![a-zа-яё]))"  # noqa: RUF001 - typographic quotes
)

_HEADING_FILL: Final = 0.4
_PARAGRAPH_FILL: Final = 0.66
_SENTENCE_FILL: Final = 0.25
_LINE_FILL: Final = 0.5
"""How full a chunk must be for a bound of that kind to end it; else a weaker one may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPolicy:
    """How to cut.

    Raises:
        ValueError: the limits leave no room to go on.
    """

    max_tokens: int
    """A chunk holds at most so many tokens, special ones not counted."""
    overlap_tokens: int = 0
    """A chunk repeats at most so many tokens of the one before, in whole sentences."""
    max_characters: int = 8192
    """A chunk spans at most so many characters, however few its tokens."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.max_characters < 1:
            raise ValueError("a chunk needs room for at least one token")
        if not 0 <= self.overlap_tokens <= self.max_tokens // 2:
            raise ValueError("the overlap must be at most half of the tokens of a chunk")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """Where a chunk may begin: ascending token indices, strongest kind first."""

    headings: list[int]
    paragraphs: list[int]
    sentences: list[int]
    """Includes headings and paragraphs."""
    lines: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    first: int
    stop: int


def cut(reading: Reading, tokens: Tokenized, policy: ChunkPolicy) -> tuple[Chunk, ...]:
    """Return the chunks of a text, in order; none where it has no tokens.

    Every visible character lies in some chunk, ``chunk.text == text[chunk.start:chunk.end]``, and a
    chunk's tokens are those of the text that it covers. Chunks begin at headings, paragraphs and
    sentences wherever the limit leaves a choice, else at words, else anywhere.
    """
    if not tokens.ids.size:
        return ()
    cutter = _Cutter(reading, tokens, policy)
    return tuple(cutter.chunks())


class _Cutter:
    def __init__(self, reading: Reading, tokens: Tokenized, policy: ChunkPolicy) -> None:
        self._text = reading.text
        self._tokens = tokens
        self._policy = policy
        self._count = int(tokens.ids.size)
        self._bounds = _bounds(reading, tokens)
        self._page_offsets = [start.offset for start in reading.page_starts]
        self._pages = [start.page for start in reading.page_starts]

    def chunks(self) -> Iterator[Chunk]:
        n = 0
        for piece in self._pieces():
            start, end = self._extent(piece)
            if start < end:
                yield Chunk(
                    n=n,
                    text=self._text[start:end],
                    start=start,
                    end=end,
                    page=self._page(start),
                    tokens=self._tokens.ids[piece.first : piece.stop],
                )
                n += 1

    def _pieces(self) -> Iterator[_Piece]:
        first = done = 0
        while done < self._count:
            limit = self._limit(first)
            if limit <= done:  # the overlap alone fills the chunk: go on without it
                first, limit = done, max(self._limit(done), done + 1)
            stop = limit if limit >= self._count else self._stop(first, done, limit)
            yield _Piece(first=first, stop=stop)
            first, done = self._next_first(first, stop), stop

    def _limit(self, first: int) -> int:
        """The highest index that a chunk which begins at ``first`` may stop at."""
        last_character = int(self._tokens.starts[first]) + self._policy.max_characters
        limit = min(first + self._policy.max_tokens, self._count)
        if int(self._tokens.ends[limit - 1]) > last_character:
            limit = int(np.searchsorted(self._tokens.ends[:limit], last_character, side="right"))
        return limit

    def _stop(self, first: int, done: int, limit: int) -> int:
        room = limit - first
        for bounds, fill in (
            (self._bounds.headings, _HEADING_FILL),
            (self._bounds.paragraphs, _PARAGRAPH_FILL),
            (self._bounds.sentences, _SENTENCE_FILL),
            (self._bounds.lines, _LINE_FILL),
        ):
            at = bisect_right(bounds, limit) - 1
            if at >= 0 and bounds[at] > max(done, first + int(fill * room)):
                return bounds[at]
        floor = max(done, first + room // 2)
        return self._word(range(limit, floor, -1)) or self._whole(limit, floor) or limit

    def _next_first(self, first: int, stop: int) -> int:
        overlap = self._policy.overlap_tokens
        if not overlap or stop >= self._count or _holds(self._bounds.headings, stop):
            return stop
        low = max(first + 1, stop - overlap)
        sentences = self._bounds.sentences
        at = bisect_left(sentences, low)
        if at < len(sentences) and sentences[at] <= stop:
            return sentences[at]
        return self._word(range(low, stop)) or stop

    def _word(self, candidates: Iterable[int]) -> int | None:
        """The first candidate that stands behind white space, or begins with it."""
        for k in candidates:
            here = int(self._tokens.starts[k])
            if self._text[here].isspace() or (here and self._text[here - 1].isspace()):
                return k
        return None

    def _whole(self, limit: int, floor: int) -> int | None:
        """The highest index that does not split a character between two tokens."""
        for k in range(limit, floor, -1):
            if self._tokens.starts[k] >= self._tokens.ends[k - 1]:
                return k
        return None

    def _extent(self, piece: _Piece) -> tuple[int, int]:
        start = 0 if piece.first == 0 else int(self._tokens.starts[piece.first])
        at_end = piece.stop >= self._count
        end = len(self._text) if at_end else int(self._tokens.starts[piece.stop])
        # Characters that the tokenizer knows nothing of go with the chunk before them, unless
        # there are so many that they are noise.
        end = max(
            min(end, start + self._policy.max_characters), int(self._tokens.ends[piece.stop - 1])
        )
        while start < end and self._text[start].isspace():
            start += 1
        while end > start and self._text[end - 1].isspace():
            end -= 1
        return start, end

    def _page(self, start: int) -> int | None:
        at = bisect_right(self._page_offsets, start) - 1
        return self._pages[at] if at >= 0 else None


def _bounds(reading: Reading, tokens: Tokenized) -> _Bounds:
    text = reading.text
    headings = _at(tokens, (heading.start for heading in reading.headings))
    # No chunk ends right behind a heading: it belongs to what follows.
    behind = _at(tokens, (heading.end for heading in reading.headings)) - headings
    paragraphs = _at(tokens, _ends(_PARAGRAPH, text)) - behind
    sentences = _at(tokens, _ends(_SENTENCE, text)) - behind
    lines = _at(tokens, _ends(_LINE, text)) - behind
    return _Bounds(
        headings=sorted(headings),
        paragraphs=sorted(paragraphs),
        sentences=sorted(headings | paragraphs | sentences),
        lines=sorted(lines),
    )


def _ends(pattern: re.Pattern[str], text: str) -> Iterator[int]:
    return map(re.Match.end, pattern.finditer(text))


def _at(tokens: Tokenized, offsets: Iterable[int]) -> set[int]:
    """The tokens that stand first at or behind the offsets; neither the first one nor the end."""
    found = np.searchsorted(tokens.starts, np.fromiter(offsets, np.int32))
    return set(found.tolist()) - {0, tokens.starts.size}


def _holds(ascending: list[int], k: int) -> bool:
    at = bisect_left(ascending, k)
    return at < len(ascending) and ascending[at] == k
