"""What every kind of source does: tell its objects, and read one version of one of them."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from embedder.planner_ports import ListedObject, SourceError
from kartoteka_contracts.errors import KartotekaError

__all__ = ["ChangedMeanwhileError", "Place", "Reading", "away", "gone", "unreadable"]


class ChangedMeanwhileError(Exception):
    """The object became another while it was read: what was read is no version of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One version of an object, to be read once."""

    stamp: str
    size: int
    """Bytes, before they are read."""
    chunks: AsyncIterator[bytes]
    """All of them; raises ChangedMeanwhileError at the latest instead of the end."""


class Place(Protocol):
    """A source that is open."""

    def pages(self) -> AsyncIterator[list[ListedObject]]:
        """Give all objects, whatever the patterns; one that ends without an error is whole.

        Raises:
            SourceError: ``source_unavailable``.
        """
        ...

    def reading(self, path: str) -> AbstractAsyncContextManager[Reading]:
        """Open an object.

        Raises:
            KartotekaError: ``source_object_gone`` or ``source_object_unreadable``.
            SourceError: ``source_unavailable``.
        """
        ...


def away(message: str) -> SourceError:
    """Return the error of a source that cannot be listed or read; the message says what to do."""
    return SourceError("source_unavailable", message)


def gone(path: str) -> KartotekaError:
    """Return the error of an object that is not there."""
    return KartotekaError("source_object_gone", f"{path!r} was gone before it could be copied")


def unreadable(path: str, why: str) -> KartotekaError:
    """Return the error of an object that is there and cannot be had."""
    return KartotekaError("source_object_unreadable", f"{path!r} cannot be read: {why}")
