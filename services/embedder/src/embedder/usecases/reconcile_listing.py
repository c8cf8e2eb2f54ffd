"""Listings of object storage, document by document, in bounded memory."""

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, TypeVar

from kartoteka_contracts.ids import CabinetId, DocumentId, TaskId, Version
from kartoteka_contracts.keys import bodies_prefix, document_of, record_version, records_prefix
from kartoteka_runtime.object_listing import FoundObject

__all__ = ["BATCH", "CancelMark", "ListedDocument", "batched", "bodies", "records"]

BATCH: Final = 256
"""Documents whose manifests are read at once."""

_DOCUMENT: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MARK: Final = re.compile(r"(\d+)\.([0-9a-f-]{36})\.cancelled")
_PLACE: Final = 3
"""Folders above a document's."""

T = TypeVar("T")


class Archive(Protocol):
    """Object storage, as far as it is listed here."""

    def pages(self, prefix: str) -> AsyncIterator[list[FoundObject]]:
        """Give the objects below a prefix; those of one folder follow each other."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelMark:
    """A mark that a task is to be cancelled."""

    key: str
    version: Version
    task_id: TaskId


@dataclass(slots=True, kw_only=True)
class ListedDocument:
    """What lies under one document."""

    document_id: DocumentId
    records: dict[Version, FoundObject] = field(default_factory=dict)
    marks: list[CancelMark] = field(default_factory=list)

    @property
    def newest(self) -> Version | None:
        """The version of the newest record."""
        return max(self.records, default=None)

    @property
    def since(self) -> datetime | None:
        """When the newest record was written: later than it says itself, where it was claimed."""
        newest = self.newest
        return None if newest is None else self.records[newest].modified

    def add(self, found: FoundObject) -> None:
        """Take an object in; what is neither record nor mark is nothing of ours."""
        version = record_version(found.key)
        if version is not None:
            self.records[version] = found
            return
        mark = _MARK.fullmatch(found.key.rpartition("/")[2])
        if mark is not None:
            self.marks.append(
                CancelMark(key=found.key, version=Version(int(mark[1])), task_id=TaskId(mark[2]))
            )


async def records(archive: Archive, cabinet: CabinetId) -> AsyncIterator[ListedDocument]:
    """Give the documents that have records."""
    async for document, found in _by_document(archive, records_prefix(cabinet)):
        listed = ListedDocument(document_id=document)
        for one in found:
            listed.add(one)
        yield listed


async def bodies(
    archive: Archive, cabinet: CabinetId
) -> AsyncIterator[tuple[DocumentId, list[FoundObject]]]:
    """Give the documents that have bodies, with these."""
    async for found in _by_document(archive, bodies_prefix(cabinet)):
        yield found


async def batched(items: AsyncIterator[T], size: int = BATCH) -> AsyncIterator[list[T]]:
    """Give items in lists of a size; the last one is what is left."""
    batch: list[T] = []
    async for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def _by_document(
    archive: Archive, prefix: str
) -> AsyncIterator[tuple[DocumentId, list[FoundObject]]]:
    held: list[FoundObject] = []
    current: DocumentId | None = None
    async for page in archive.pages(prefix):
        for found in _of_documents(page):
            document = document_of(found.key)
            if document != current and current is not None:
                yield current, held
                held = []
            current = document
            held.append(found)
    if current is not None:
        yield current, held


def _of_documents(page: Iterable[FoundObject]) -> Iterable[FoundObject]:
    for found in page:
        parts = found.key.split("/")
        if len(parts) == _PLACE + 2 and _DOCUMENT.fullmatch(parts[_PLACE]):
            yield found
