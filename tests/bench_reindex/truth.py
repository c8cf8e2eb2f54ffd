"""What a store holds of a folder, judged by the texts alone, whoever cut them into chunks."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Chunk", "Found", "judge"]


Chunk = tuple[str, str]
"""The name of the document, and the chunk's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How many documents are not as their files are."""

    missing: int
    """The file is there, and the store has nothing of it."""
    incomplete: int
    """A part of the file's text is in no chunk."""
    stale: int
    """A chunk says what the file does not say, or the file is gone."""
    duplicate: int
    """A chunk is held more often than its text is in the file."""
    lost: int
    """The file was there before the change and still is; neither text is whole in the store."""
    mixed: int
    """The same; one text is whole, and there is something of the other one beside it."""
    chunks: int
    """What the store holds in all."""


def judge(texts: Mapping[str, str], chunks: Iterable[Chunk], before: Mapping[str, str]) -> Found:
    """Compare a store's chunks with the files' texts, and with those before the last change.

    White space does not count.
    """
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for name, chunk in chunks:
        held[name][_squeezed(chunk)] += 1
    said = {name: _squeezed(text) for name, text in texts.items()}
    both = [
        (held.get(name, Counter()), said[name], _squeezed(before[name]))
        for name in said
        if name in before
    ]
    return Found(
        missing=sum(name not in held for name in said),
        incomplete=sum(name in held and not _covers(held[name], said[name]) for name in said),
        stale=sum(
            name not in said or any(chunk not in said[name] for chunk in own)
            for name, own in held.items()
        ),
        duplicate=sum(
            any(count > said[name].count(chunk) > 0 for chunk, count in own.items())
            for name, own in held.items()
            if name in said
        ),
        lost=sum(not _covers(own, new) and not _covers(own, old) for own, new, old in both),
        mixed=sum(
            any(_covers(own, text) for text in (new, old))
            and not any(_is_exactly(own, text) for text in (new, old))
            for own, new, old in both
        ),
        chunks=sum(count for own in held.values() for count in own.values()),
    )


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _is_exactly(chunks: Iterable[str], text: str) -> bool:
    return _covers(chunks, text) and all(chunk in text for chunk in chunks)


def _covers(chunks: Iterable[str], text: str) -> bool:
    is_covered = bytearray(len(text))
    for chunk in filter(None, chunks):
        at = text.find(chunk)
        while at >= 0:
            is_covered[at : at + len(chunk)] = b"\x01" * len(chunk)
            at = text.find(chunk, at + 1)
    return 0 not in is_covered
