"""What the reindex planner needs from the world."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.cabinets import Source
from kartoteka_contracts.errors import KartotekaError
from kartoteka_contracts.ids import DocumentId
from kartoteka_index.manifest import Manifest
from kartoteka_index.run_state import RunState
from kartoteka_runtime.object_listing import FoundObject
from kartoteka_runtime.producer import Delivered

__all__ = [
    "BulkBacklog",
    "CopiedObject",
    "ListedObject",
    "PlannerArchive",
    "PlannerIndex",
    "PlannerLog",
    "SourceError",
    "SourceStore",
]


class SourceError(KartotekaError):
    """A source cannot be listed or read whole.

    ``source_unavailable``, ``source_not_allowed`` or ``source_too_large``.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedObject:
    """An object of a source, as a listing tells of it; nothing of it was read."""

    path: str
    """Below the source's URL, with ``/`` between segments."""
    stamp: str
    """What tells of its content: another stamp means that it may be another."""
    size: int
    """Bytes."""
    modified: datetime
    """UTC, aware; by the source's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedObject:
    """An object that was copied."""

    sha256: str
    """Of the bytes that were written, in hexadecimal digits."""
    size: int
    """Bytes that were written."""
    media_type: str
    """Sniffed from its first bytes."""
    stamp: str
    """Of the object that was read: not the listed one's where it changed meanwhile."""


class SourceStore(Protocol):
    """The places outside that cabinets' settings name."""

    def listing(self, source: Source) -> AsyncIterator[list[ListedObject]]:
        """Give the objects of a source that its patterns take, page by page.

        A listing that ends without an error is whole. Nothing is downloaded.

        Raises:
            SourceError: ``source_unavailable`` or ``source_not_allowed``.
        """
        ...

    async def copy(self, source: Source, listed_path: str, *, to_key: str) -> CopiedObject:
        """Stream an object into our own object storage, in bounded memory.

        Raises:
            KartotekaError: ``source_object_gone``, ``source_object_too_large`` or
                ``source_object_unreadable``.
            SourceError: the source is away, or no longer allowed.
            UnavailableError: our own object storage is away.
        """
        ...


class PlannerArchive(Protocol):
    """Our own object storage. All calls raise UnavailableError where it is away."""

    def pages(self, prefix: str) -> AsyncIterator[list[FoundObject]]:
        """Give the objects below a prefix; those of one folder follow each other."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        ...

    async def read(self, key: str) -> bytes:
        """Return a small object; raises KartotekaError ``body_missing`` where there is none."""
        ...

    async def create(self, key: str, data: bytes) -> bool:
        """Write a small object unless there is one already; False where there was."""
        ...


class PlannerIndex(Protocol):
    """The index. ``kartoteka_index`` documents it."""

    async def manifests(
        self, cabinet: AuthorisedCabinet, document_ids: Iterable[DocumentId]
    ) -> dict[DocumentId, Manifest]:
        """Return what stands about documents."""
        ...

    async def run_state(self, cabinet: AuthorisedCabinet) -> RunState | None:
        """Return where the cabinet's last run stands; None where there was none."""
        ...

    async def write_run_state(
        self, cabinet: AuthorisedCabinet, state: RunState, *, seen: RunState | None
    ) -> RunState | None:
        """Write it if what stands is still what was seen; None where it is not."""
        ...


class PlannerLog(Protocol):
    """Kafka, to send to."""

    async def send(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Delivered:
        """Return once the broker has it; raises UnavailableError otherwise."""
        ...

    def post(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Send without waiting; dropped when the broker is away."""
        ...


class BulkBacklog(Protocol):
    """What the workers have not processed yet."""

    async def size(self, topic: str) -> int:
        """Return how many records of a topic are not processed.

        Raises:
            UnavailableError: Kafka is away.
        """
        ...

    async def waiting(self, keys: Collection[str]) -> frozenset[str]:
        """Return those of these keys of documents of which an event is not processed.

        Reads all that is unprocessed.

        Raises:
            UnavailableError: Kafka is away.
        """
        ...
