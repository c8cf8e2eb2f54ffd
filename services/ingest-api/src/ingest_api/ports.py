"""What the use cases need from the world, each named for its role."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingest_api.domain.access import Principal
from ingest_api.domain.idempotency import Claim
from kartoteka_contracts.cabinets import CabinetConfigured
from kartoteka_contracts.events import CabinetDeletionRequested, TaskCancellationRequested
from kartoteka_contracts.ids import CabinetId, DocumentId, TaskId, Version
from kartoteka_contracts.records import Record

__all__ = [
    "Archive",
    "Claims",
    "EventLog",
    "KeyRing",
    "Removals",
    "SettingsArchive",
    "SourcePolicy",
    "StoredSettings",
]


class KeyRing(Protocol):
    """The API keys."""

    def find(self, token: str) -> Principal | None:
        """Return whose key it is; None for an unknown, damaged or revoked one.

        Takes the same time for a wrong secret as for an unknown key.
        """
        ...


class Archive(Protocol):
    """Object storage, as intake uses it. Raises UnavailableError while it is away."""

    async def write_body(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Stream a body; visible whole or not at all. Returns its size in bytes."""
        ...

    async def discard_bodies(self, keys: Sequence[str]) -> None:
        """Delete bodies that nothing refers to; absent ones are fine."""
        ...

    async def newest_version(self, cabinet: CabinetId, document: DocumentId) -> Version | None:
        """Return the version of the document's newest record, if there is one."""
        ...

    async def create_record(self, record: Record) -> bool:
        """Write the record unless its version is taken; False says that it is."""
        ...

    async def task_at(
        self, cabinet: CabinetId, document: DocumentId, version: Version
    ) -> TaskId | None:
        """Return whose record has the version; None where there is none that can be read."""
        ...


class Claims(Protocol):
    """Claims on idempotency keys. Raises UnavailableError while object storage is away."""

    async def claim(self, key: str) -> Claim | None:
        """Return the claim under a key of object storage; None where there is none.

        Raises:
            RequestError: ``idempotency_mismatch``: it cannot be read by this release.
        """
        ...

    async def create_claim(self, key: str, claim: Claim) -> bool:
        """Write a claim unless there is one; False says that there is."""
        ...


class Removals(Protocol):
    """Requests to remove something, kept. Raises UnavailableError while object storage is away."""

    async def newest_record(self, cabinet: CabinetId, document: DocumentId) -> Record | None:
        """Return the newest record of a document that can be read."""
        ...

    async def newest_in(self, cabinet: CabinetId) -> Version | None:
        """Return the highest version of all that was ever asked of a cabinet."""
        ...

    async def create_cabinet_deletion(self, event: CabinetDeletionRequested) -> bool:
        """Write the request to delete a cabinet unless its version is taken."""
        ...

    async def mark_cancelled(self, event: TaskCancellationRequested) -> None:
        """Leave the mark that a task is to be cancelled; one that is there stays."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSettings:
    """A version of a cabinet's settings."""

    version: Version
    configured: CabinetConfigured | None
    """None where this release cannot read it."""


class SettingsArchive(Protocol):
    """Cabinets' settings, kept. Raises UnavailableError while object storage is away."""

    async def newest(self, cabinet: CabinetId) -> StoredSettings | None:
        """Return the newest settings of a cabinet; None where it was given none."""
        ...

    async def create(self, event: CabinetConfigured) -> bool:
        """Write settings unless their version is taken; False says that it is."""
        ...


class SourcePolicy(Protocol):
    """Which sources cabinets may have."""

    def allows(self, url: str) -> bool:
        """Return whether a source may have this URL."""
        ...


class EventLog(Protocol):
    """Kafka, as intake uses it."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be appended now; None when it can."""
        ...

    async def send(
        self,
        topic: str,
        *,
        key: str,
        value: bytes,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> object:
        """Append one record; returns once the broker has acknowledged it.

        Raises:
            UnavailableError: ``event_log_unavailable`` (outcome unknown) or ``overloaded``.
        """
        ...
