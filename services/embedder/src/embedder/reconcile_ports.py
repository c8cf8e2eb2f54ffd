"""What reconciliation needs from the world."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, Version
from kartoteka_contracts.tasks import DocumentState
from kartoteka_contracts.topics import JOB_TOPICS
from kartoteka_index.manifest import Manifest, ManifestPage
from kartoteka_index.run_state import RunState
from kartoteka_index.upkeep import Work
from kartoteka_runtime.object_listing import FoundObject
from kartoteka_runtime.producer import Delivered

__all__ = ["Archive", "Backlog", "Log", "UpkeepIndex"]


class Backlog(Protocol):
    """The events of the job topics that are not processed yet.

    All calls look anew, and raise UnavailableError where Kafka is away.
    """

    async def oldest(self) -> datetime | None:
        """Return when the oldest of them was sent; None where there is none."""
        ...

    async def waiting(
        self, keys: Collection[str], *, topics: Sequence[str] = JOB_TOPICS
    ) -> frozenset[str]:
        """Return those of these keys of which at least one event is not processed yet."""
        ...


class Log(Protocol):
    """Kafka, to send to."""

    async def send(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Delivered:
        """Return once the broker has it; raises UnavailableError otherwise."""
        ...


class Archive(Protocol):
    """Object storage. All calls raise UnavailableError where it is away."""

    def pages(self, prefix: str) -> AsyncIterator[list[FoundObject]]:
        """Give the objects below a prefix; those of one folder follow each other."""
        ...

    async def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders right below a prefix."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        ...

    async def read(self, key: str) -> bytes:
        """Return a small object; raises KartotekaError ``body_missing`` where there is none."""
        ...

    async def exists(self, key: str) -> bool:
        """Return whether there is an object under a key."""
        ...

    async def create(self, key: str, data: bytes) -> bool:
        """Write a small object unless there is one already; False where there was."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; absent ones are fine."""
        ...


class UpkeepIndex(Protocol):
    """The index. ``kartoteka_index`` documents it."""

    async def manifests(
        self, cabinet: AuthorisedCabinet, document_ids: Iterable[DocumentId]
    ) -> dict[DocumentId, Manifest]:
        """Return what stands about documents."""
        ...

    async def documents(
        self,
        cabinet: AuthorisedCabinet,
        *,
        state: DocumentState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ManifestPage:
        """Return a page of the cabinet's decided manifests."""
        ...

    def works(
        self, cabinet: AuthorisedCabinet, *, before: int
    ) -> AsyncIterator[Mapping[Work, int]]:
        """Give the works that have chunks, page by page."""
        ...

    async def count(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> int:
        """Return exactly how many chunks of this work are stored."""
        ...

    async def discard(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> None:
        """Delete the chunks of exactly this work."""
        ...

    async def forget(self, cabinet: AuthorisedCabinet, deleted: Manifest) -> None:
        """Remove the manifest of a deleted document, unless anything was done to it since."""
        ...

    async def run_state(self, cabinet: AuthorisedCabinet) -> RunState | None:
        """Return where the cabinet's last reindex run stands; None where there was none."""
        ...

    def open_runs(self) -> AsyncIterator[RunState]:
        """Give the reindex runs of all cabinets that have not ended."""
        ...

    async def other_cabinet(self, known: Collection[CabinetId]) -> CabinetId | None:
        """Return a cabinet that has chunks and is none of these."""
        ...
