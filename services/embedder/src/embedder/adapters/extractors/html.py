"""HTML: what a reader would see, in order. Nothing that a page refers to is fetched."""

import codecs
import re
from pathlib import Path
from typing import Final

from lxml import etree

from embedder.adapters.extractors.encoding import detect
from embedder.adapters.extractors.registry import Progress
from embedder.domain.reading import Reading, ReadingBuilder, ReadingLimits, TextTooLargeError

__all__ = ["VisibleText", "read", "read_fragment"]

_PIECE: Final = 64 * 1024
_HEAD: Final = 4096
_MAX_MARKUP: Final = 40
"""A body of more bytes than so many times the text limit is not read to its end."""

_DECLARED: Final = re.compile(
    rb"<meta[^>]{0,512}?charset\s{0,8}=\s{0,8}[\"']?([\w.:-]{2,40})", re.IGNORECASE
)
_ENCODINGS: Final = re.compile(
    r"utf-8|(windows-|cp)\d{3,4}|iso-?8859-\d{1,2}|koi8-[rut]|gb(k|2312|18030)|big5(-hkscs)?"
    r"|shift_jis|euc-(jp|kr)|mac-?(cyrillic|roman)|tis-620"
)
_LATIN: Final = frozenset({"iso8859-1", "ascii"})
"""Browsers read both as windows-1252, and pages are written for browsers."""

_UNSEEN_TAGS: Final = frozenset(
    {"script", "style", "template", "noscript", "meta", "link", "base", "datalist"}
    | {"svg", "math", "iframe", "object", "embed", "canvas", "audio", "video"}
)
_HIDING_STYLE: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_HEADINGS: Final = frozenset({"title", "h1", "h2", "h3", "h4", "h5", "h6"})
_TIGHT: Final = frozenset({"li", "tr", "dt", "dd", "option", "summary"})
_BLOCKS: Final = frozenset(
    _HEADINGS
    | _TIGHT
    | {"html", "body", "header", "footer", "main", "nav", "aside", "article", "section", "div"}
    | {"p", "pre", "blockquote", "address", "figure", "figcaption", "hr", "details", "dialog"}
    | {"ul", "ol", "dl", "table", "caption", "thead", "tbody", "tfoot"}
    | {"form", "fieldset", "select", "textarea"}
)
_CELLS: Final = frozenset({"td", "th"})
_SPACE: Final = re.compile(r"\s+")
_SPACES: Final = re.compile(r" +")
_AROUND_BREAK: Final = re.compile(r" ?([\n\t]) ?")


class VisibleText:
    """Takes the parser's events and puts the visible text into a builder, block by block.

    No tree is built, so that the depth of a page costs nothing.
    """

    def __init__(self, builder: ReadingBuilder, max_characters: int) -> None:
        self._builder = builder
        self._max = max_characters
        self._inline: list[str] = []
        self._inline_length = 0
        self._depth = 0
        self._unseen_from: int | None = None
        self._pre_from: int | None = None
        self._is_tight = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._depth += 1
        if self._unseen_from is not None:
            return
        if tag in _UNSEEN_TAGS or _is_hidden(attributes):
            self._unseen_from = self._depth
        elif tag == "br":
            self._take("\n")
        elif tag in _CELLS:
            self._take("\t")
        elif tag in _BLOCKS:
            self._flush()
            self._is_tight = tag in _TIGHT
            if tag == "pre" and self._pre_from is None:
                self._pre_from = self._depth

    def end(self, tag: str) -> None:
        """An element ends."""
        if self._unseen_from is None and tag in _BLOCKS:
            self._flush(is_heading=tag in _HEADINGS)
            self._is_tight = tag in _TIGHT
        if self._unseen_from == self._depth:
            self._unseen_from = None
        if self._pre_from == self._depth:
            self._pre_from = None
        self._depth -= 1

    def data(self, text: str) -> None:
        """Characters between tags."""
        if self._unseen_from is None:
            self._take(text if self._pre_from is not None else _SPACE.sub(" ", text))

    def comment(self, text: str) -> None:
        """Not seen."""

    def close(self) -> None:
        """The page ends."""
        self._flush()

    def _take(self, text: str) -> None:
        self._inline.append(text)
        self._inline_length += len(text)
        if self._inline_length > 2 * self._max + _PIECE:
            raise TextTooLargeError

    def _flush(self, *, is_heading: bool = False) -> None:
        text = "".join(self._inline)
        self._inline.clear()
        self._inline_length = 0
        if self._pre_from is None:
            text = _AROUND_BREAK.sub(r"\1", _SPACES.sub(" ", text)).strip()
        self._builder.add(text, is_heading=is_heading, is_tight=self._is_tight)


def read(body: Path, limits: ReadingLimits, progress: Progress) -> Reading:
    """Return the visible text, with the title and h1 to h6 as headings.

    Raises:
        TextTooLargeError: more text, or far more markup, than the limit.
    """
    size = body.stat().st_size
    if size > _MAX_MARKUP * limits.max_characters:
        raise TextTooLargeError
    builder = ReadingBuilder(limits.max_characters)
    parser = _parser(VisibleText(builder, limits.max_characters))
    with body.open("rb") as source:
        piece = source.read(4 * _PIECE)
        decoder = codecs.getincrementaldecoder(detect(piece, _declared(piece)))("replace")
        done = 0
        while piece:
            _feed(parser, decoder.decode(piece))
            done += len(piece)
            progress(done / size)
            piece = source.read(_PIECE)
        _feed(parser, decoder.decode(b"", final=True))
    _close(parser)
    return builder.build(parser=f"lxml {etree.__version__}")


def read_fragment(markup: str, builder: ReadingBuilder, max_characters: int) -> None:
    """Add the visible text of a piece of HTML to a builder.

    Raises:
        TextTooLargeError: more text than the limit.
    """
    parser = _parser(VisibleText(builder, max_characters))
    _feed(parser, markup)
    _close(parser)


def _parser(target: VisibleText) -> etree.HTMLParser:
    # Without huge_tree a long attribute would end the text; no tree is built all the same.
    return etree.HTMLParser(
        target=target,  # type: ignore[arg-type]  # the stubs allow for bytes, which never come
        encoding="utf-8",
        huge_tree=True,
        no_network=True,
    )


def _feed(parser: etree.HTMLParser, text: str) -> None:
    # The parser would end the page at a NUL.
    parser.feed(text.replace("\0", "").encode("utf-8", "replace"))


def _close(parser: etree.HTMLParser) -> None:
    try:
        parser.close()
    except etree.XMLSyntaxError:
        # It was fed nothing but white space: a page without text.
        return


def _is_hidden(attributes: dict[str, str]) -> bool:
    return "hidden" in attributes or bool(_HIDING_STYLE.search(attributes.get("style", "")[:_HEAD]))


def _declared(head: bytes) -> str | None:
    found = _DECLARED.search(head[:_HEAD])
    if found is None:
        return None
    name = found[1].decode("ascii", "replace").lower().removeprefix("x-")
    if not _ENCODINGS.fullmatch(name):
        return None
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        return None
    return "cp1252" if codec in _LATIN else codec
