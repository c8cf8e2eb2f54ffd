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
    chunks: int
    """What the store holds in all."""

    @property
    def wrong(self) -> int:
        """All of them; a document may count under more than one."""
        return self.missing + self.incomplete + self.stale + self.duplicate


def judge(texts: Mapping[str, str], chunks: Iterable[Chunk]) -> Found:
    """Compare a store's chunks with the files' texts; white space does not count."""
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for name, chunk in chunks:
        held[name][_squeezed(chunk)] += 1
    said = {name: _squeezed(text) for name, text in texts.items()}
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
        chunks=sum(count for own in held.values() for count in own.values()),
    )


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _covers(chunks: Iterable[str], text: str) -> bool:
    is_covered = bytearray(len(text))
    for chunk in filter(None, chunks):
        at = text.find(chunk)
        while at >= 0:
            is_covered[at : at + len(chunk)] = b"\x01" * len(chunk)
            at = text.find(chunk, at + 1)
    return 0 not in is_covered
