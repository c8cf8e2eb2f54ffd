"""What the use cases need from the world, each named for its role."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from ingest_api.domain.access import Principal
from kartoteka_contracts.ids import CabinetId, DocumentId, Version
from kartoteka_contracts.records import DocumentRecord

__all__ = ["Archive", "EventLog", "KeyRing"]


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

    async def create_record(self, record: DocumentRecord) -> bool:
        """Write the record unless its version is taken; False says that it is."""
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
