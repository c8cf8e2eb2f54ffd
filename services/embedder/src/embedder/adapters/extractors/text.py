"""Plain text, in whatever encoding."""

from pathlib import Path
from typing import Final

from embedder.adapters.extractors.encoding import decode
from embedder.adapters.extractors.registry import Progress
from embedder.domain.reading import Reading, ReadingBuilder, ReadingLimits, TextTooLargeError

__all__ = ["read", "read_characters"]

_MAX_BYTES_PER_CHARACTER: Final = 4


def read(body: Path, limits: ReadingLimits, progress: Progress) -> Reading:
    """Return the text as it is, cleaned.

    Raises:
        TextTooLargeError: more text than the limit.
    """
    characters = read_characters(body, limits)
    progress(0.5)
    builder = ReadingBuilder(limits.max_characters)
    builder.add(characters)
    return builder.build(parser="text 1")


def read_characters(body: Path, limits: ReadingLimits) -> str:
    """Return a body's characters, uncleaned.

    Raises:
        TextTooLargeError: more bytes than the longest allowed text can have.
    """
    if body.stat().st_size > _MAX_BYTES_PER_CHARACTER * (limits.max_characters + 1):
        raise TextTooLargeError
    return decode(body.read_bytes())
