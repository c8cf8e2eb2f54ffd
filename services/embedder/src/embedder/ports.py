"""What the use cases need from the world, and what the dispatcher needs from the use cases."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from embedder.domain.job import Job, Lease, RawRecord
from embedder.domain.parsed import Extraction, TokenIds
from embedder.domain.vectors import Vectors
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.ids import DocumentId, Epoch, Version
from kartoteka_contracts.tasks import Stage
from kartoteka_index.manifest import Decision, Manifest, ManifestPage, Starts
from kartoteka_index.points import ChunkPoint
from kartoteka_runtime.producer import Delivered

__all__ = [
    "Bodies",
    "ChunkIndex",
    "DocumentIndex",
    "Embedder",
    "EventLog",
    "Extractor",
    "JobHandler",
    "StageReport",
    "Vectors",
]

StageReport = Callable[[Stage, float], None]
"""Takes a stage and the share of the whole task that is done (0 to 1); never blocks or raises."""


class Bodies(Protocol):
    """Where uploaded bodies lie."""

    async def download(self, key: str, to: Path, *, size: int, sha256: str) -> int:
        """Copy a body into a file and return its bytes.

        Raises:
            KartotekaError: ``body_missing``; ``body_corrupt`` where the body is of another size or
                hash than given.
            UnavailableError: object storage is away, or the body arrived in part.
            OSError: the file cannot be written.
        """
        ...

    async def read(self, key: str) -> bytes:
        """Return a small object whole.

        Raises:
            KartotekaError: ``body_missing``.
            UnavailableError: object storage is away.
        """
        ...

    async def exists(self, key: str) -> bool:
        """Return whether there is an object under a key."""
        ...

    async def create(self, key: str, data: bytes) -> bool:
        """Write a small object unless there is one already; False where there was."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; absent ones are fine."""
        ...


class ChunkIndex(Protocol):
    """The index, as far as indexing one document needs it. ``kartoteka_index`` documents it."""

    async def manifest(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId
    ) -> Manifest | None:
        """Return what is decided about a document."""
        ...

    async def upsert(self, cabinet: AuthorisedCabinet, points: Sequence[ChunkPoint]) -> None:
        """Store chunks, durably and not yet searchable."""
        ...

    async def count(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> int:
        """Return exactly how many chunks of this work are stored."""
        ...

    async def decide(
        self, cabinet: AuthorisedCabinet, decision: Decision, *, is_open: bool = False
    ) -> Manifest | None:
        """Write a decision conditionally; None where the work is superseded."""
        ...

    async def begin(
        self,
        cabinet: AuthorisedCabinet,
        document_id: DocumentId,
        external_id: str,
        work: tuple[Version, Epoch],
        *,
        seen: Manifest | None,
    ) -> Starts:
        """Count one more try at a work; afterwards the document has a manifest."""
        ...

    async def lower(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, starts: Starts
    ) -> None:
        """Take back one try, unless more were counted since."""
        ...

    async def count_kill(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, starts: Starts
    ) -> Starts:
        """Count a try whose parser was killed or died; return what is counted now."""
        ...

    async def copy(
        self,
        cabinet: AuthorisedCabinet,
        document_id: DocumentId,
        *,
        source: tuple[Version, Epoch],
        to: tuple[Version, Epoch],
        filename: str,
        metadata: Mapping[str, Any],
    ) -> None:
        """Write the chunks of one work once more as those of another, with another payload."""
        ...

    async def sweep(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> None:
        """Delete the document's chunks strictly below (version, epoch)."""
        ...

    async def trim(
        self,
        cabinet: AuthorisedCabinet,
        document_id: DocumentId,
        version: Version,
        epoch: Epoch,
        *,
        chunks: int,
        stored: int,
    ) -> None:
        """Delete chunks of exactly this work that lie behind its first ``chunks``."""
        ...

    async def discard(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, version: Version, epoch: Epoch
    ) -> None:
        """Delete the chunks of exactly this work."""
        ...


class DocumentIndex(Protocol):
    """The index, as far as deletes need it. ``kartoteka_index`` documents it."""

    async def manifest(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId
    ) -> Manifest | None:
        """Return what is decided about a document."""
        ...

    async def decide(
        self, cabinet: AuthorisedCabinet, decision: Decision, *, is_open: bool = False
    ) -> Manifest | None:
        """Write a decision conditionally; None where the work is superseded."""
        ...

    async def withdraw(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, *, up_to: Version
    ) -> Manifest | None:
        """Publish nothing that only versions up to this one have asked for; return what stands."""
        ...

    async def erase(
        self, cabinet: AuthorisedCabinet, document_id: DocumentId, *, up_to: Version
    ) -> int:
        """Delete a document's chunks up to a version, see that they are gone, return how many."""
        ...

    async def erase_cabinet(
        self, cabinet: AuthorisedCabinet, *, up_to: Version, without: Sequence[DocumentId] = ()
    ) -> int:
        """Delete a cabinet's chunks up to a version, but those of some documents."""
        ...

    async def documents(
        self, cabinet: AuthorisedCabinet, *, cursor: str | None = None, limit: int = 50
    ) -> ManifestPage:
        """Return a page of the cabinet's decided manifests."""
        ...


class Extractor(Protocol):
    """Reads a body and cuts it into chunks, in a process that can be killed."""

    @property
    def fingerprint(self) -> str:
        """Hash of parser, chunker and their options: another one means another text."""
        ...

    async def extract(
        self,
        body: Path,
        *,
        media_type: str,
        filename: str,
        report: StageReport,
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> Extraction:
        """Return chunks or a verdict. Cancelling the call kills the process that reads.

        ``begin`` is awaited once, when a process is free and before it is given the body: what
        waits has not begun, whatever becomes of the worker. Its errors are raised as they are.

        Raises:
            DocumentError: ``timeout`` or ``parser_crashed``, which may pass at another try.
        """
        ...


class Embedder(Protocol):
    """Turns text into vectors."""

    @property
    def name(self) -> str:
        """The model's name: it names the collection."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    async def embed_passages(self, passages: Sequence[TokenIds]) -> Vectors:
        """Return one row a passage, in order. Batched with other callers' passages."""
        ...

    async def embed_queries(self, queries: Sequence[str]) -> Vectors:
        """Return one row a query; waits for at most one sub-batch of passages."""
        ...


class EventLog(Protocol):
    """Kafka, as far as a use case knows it."""

    async def send(
        self,
        topic: str,
        *,
        key: str,
        value: bytes,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Delivered:
        """Return once the broker has it.

        Raises:
            UnavailableError: no acknowledgement; it may still arrive.
        """
        ...

    def post(
        self,
        topic: str,
        *,
        key: str,
        value: bytes,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Send without waiting; dropped when the broker is away."""
        ...


class JobHandler(Protocol):
    """What the dispatcher calls.

    Each call returns only when its outcome is durable elsewhere (a
    status, a retry or a dead letter that the broker has), so that the record may be acknowledged.
    Cancelling any of them at any await loses nothing: the record is delivered again.
    """

    async def handle(self, job: Job, lease: Lease) -> None:
        """Do the work to its end, or hand it to the retry topic or the dead letters."""
        ...

    async def supersede(self, job: Job) -> None:
        """End a job whose document has newer work."""
        ...

    async def cancel(self, job: Job) -> None:
        """End a job whose task is to be cancelled; it does not run here, or no longer."""
        ...

    async def reject(self, record: RawRecord, error: EventError) -> None:
        """Put a record that cannot be read to the dead letters, raw."""
        ...
