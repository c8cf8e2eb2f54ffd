"""What an extractor read: clean text, and where pages and headings lie in it."""

from dataclasses import dataclass
from enum import StrEnum, unique

from embedder.domain.text import clean

__all__ = [
    "Heading",
    "Kill",
    "PageStart",
    "Reading",
    "ReadingBuilder",
    "ReadingLimits",
    "TextTooLargeError",
    "Unreadable",
]

_PARAGRAPH = "\n\n"
_LINE = "\n"


@unique
class Kill(StrEnum):
    """Why a parser process ended before it had answered."""

    TIMEOUT = "timeout"
    CRASHED = "crashed"
    """By itself: a fault in a parser, or more memory than it may have."""
    CANCELLED = "cancelled"
    """Nobody wanted the answer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageStart:
    """Where a page's text begins. Pages without text have none."""

    offset: int
    page: int
    """Counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Where a heading lies: ``text[start:end]``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A document's text, clean and whole. All offsets count characters in it."""

    text: str
    parser: str
    """Name and version of what read it."""
    headings: tuple[Heading, ...] = ()
    page_starts: tuple[PageStart, ...] = ()
    pages: int | None = None
    """None where the format has no pages."""

    @property
    def pages_with_text(self) -> int | None:
        """Pages that hold text; None where the format has no pages."""
        return None if self.pages is None else len(self.page_starts)


class TextTooLargeError(Exception):
    """More text than the limit allows."""


class ReadingBuilder:
    """Puts a reading together from blocks, cleaning each one once.

    Args:
        max_characters: where :meth:`add` gives up.
    """

    def __init__(self, max_characters: int) -> None:
        self._max = max_characters
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._page_starts: list[PageStart] = []
        self._page: int | None = None

    def turn_to(self, page: int) -> None:
        """Say that what follows stands on this page, counted from 1."""
        self._page = page

    def add(self, block: str, *, is_heading: bool = False, is_tight: bool = False) -> None:
        """Append a block behind a blank line, or behind a line end if ``is_tight``.

        Raises:
            TextTooLargeError: the text grew above the limit.
        """
        text = clean(block)
        if not text:
            return
        if self._parts:
            gap = _LINE if is_tight else _PARAGRAPH
            self._parts.append(gap)
            self._length += len(gap)
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        if self._length > self._max:
            raise TextTooLargeError
        if is_heading:
            self._headings.append(Heading(start=start, end=self._length))
        if self._page is not None:
            self._page_starts.append(PageStart(offset=start, page=self._page))
            self._page = None

    def build(self, *, parser: str, pages: int | None = None) -> Reading:
        """Return the reading."""
        return Reading(
            text="".join(self._parts),
            parser=parser,
            headings=tuple(self._headings),
            page_starts=tuple(self._page_starts),
            pages=pages,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """One engine cannot read the body; another one may."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingLimits:
    """How much an extractor reads before it gives a verdict."""

    max_characters: int
    max_pages: int
