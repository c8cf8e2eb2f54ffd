"""Markdown: the text without its markup, code as it stands."""

import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from embedder.adapters.extractors.html import read_fragment
from embedder.adapters.extractors.registry import Progress
from embedder.adapters.extractors.text import read_characters
from embedder.domain.reading import Reading, ReadingBuilder, ReadingLimits

__all__ = ["read"]

_PIECE: Final = 256 * 1024
"""Characters parsed at once: tokens take some hundred times the memory of their text."""

_FENCE: Final = re.compile(r" {0,3}(```|~~~)")
_BREAK: Final = re.compile(r"<br\b", re.IGNORECASE)


def read(body: Path, limits: ReadingLimits, progress: Progress) -> Reading:
    """Return the text that a rendered page would show.

    Raises:
        TextTooLargeError: more text than the limit.
    """
    source = read_characters(body, limits).replace("\0", "")
    builder = ReadingBuilder(limits.max_characters)
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    done = 0
    for piece in _pieces(source):
        _Walk(builder, limits.max_characters).over(parser.parse(piece))
        done += len(piece)
        progress(done / len(source))
    return builder.build(parser=f"markdown-it-py {metadata.version('markdown-it-py')}")


class _Walk:
    """Goes over a document's tokens and puts their text into a builder."""

    def __init__(self, builder: ReadingBuilder, max_characters: int) -> None:
        self._builder = builder
        self._max = max_characters
        self._row: list[str] | None = None
        self._is_heading = False
        self._is_tight = False

    def over(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            match token.type:
                case "heading_open":
                    self._is_heading = True
                case "heading_close":
                    self._is_heading = False
                case "paragraph_open":
                    self._is_tight = token.hidden
                case "tr_open":
                    self._row = []
                case "tr_close":
                    self._builder.add("\t".join(self._row or ()), is_tight=True)
                    self._row = None
                case "inline":
                    self._inline("".join(_visible(token.children or ())))
                case "fence" | "code_block":
                    self._builder.add(token.content)
                case "html_block":
                    read_fragment(token.content, self._builder, self._max)
                case _:
                    pass

    def _inline(self, text: str) -> None:
        if self._row is not None:
            self._row.append(text)
            return
        self._builder.add(text, is_heading=self._is_heading, is_tight=self._is_tight)
        self._is_tight = False


def _visible(children: Sequence[Token]) -> Iterator[str]:
    for token in children:
        match token.type:
            case "text" | "text_special" | "code_inline" | "image":
                yield token.content
            case "softbreak" | "hardbreak":
                yield "\n"
            case "html_inline" if _BREAK.match(token.content):
                yield "\n"
            case _:
                pass


def _pieces(source: str) -> Iterator[str]:
    """The source, cut at blank lines outside of code."""
    lines: list[str] = []
    length = 0
    fence: str | None = None
    for line in source.splitlines(keepends=True):
        found = _FENCE.match(line)
        if found:
            fence = found[1] if fence is None else (None if fence == found[1] else fence)
        lines.append(line)
        length += len(line)
        if length >= _PIECE and fence is None and not line.strip():
            yield "".join(lines)
            lines.clear()
            length = 0
    if lines:
        yield "".join(lines)
