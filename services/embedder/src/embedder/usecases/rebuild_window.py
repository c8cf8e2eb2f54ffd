"""The documents that a rebuild has under way: sent, awaited, sent again where they were lost."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid5

from embedder.reconcile_ports import Backlog, Log, UpkeepIndex
from embedder.usecases.rebuild_records import NeededRecords
from embedder.usecases.rebuild_report import RebuildReport, Sent
from embedder.usecases.reconcile_listing import BATCH
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
)
from kartoteka_contracts.ids import CabinetId, DocumentId, Version
from kartoteka_index.manifest import Manifest
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger

__all__ = ["JobSender", "Limits", "RebuildWindow", "Undecided"]

_log = get_logger(__name__)

_JOBS: Final = "documents.bulk"
"""Whoever uploads a document now should not stand behind all the others."""
_SENDS: Final = 3
"""Of one work: what is neither decided nor in a topic after them never will be."""
_SENDS_AT_ONCE: Final = 16
_SLOWER: Final = 1.5
_KINDS: Final = {
    DocumentSubmitted: Sent.SUBMITTED,
    DocumentDeletionRequested: Sent.DELETION,
    CabinetDeletionRequested: Sent.CABINET_DELETION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How a rebuild waits."""

    documents: int = 500
    """Under way at most; so much lies in Kafka, and is held here."""
    shortest_seconds: float = 0.25
    """Between two looks at the manifests while they are decided."""
    longest_seconds: float = 2.0
    """Between two looks while nothing is decided."""
    lost_seconds: float = 60.0
    """After which a work's event is looked for in the topics."""
    patience_seconds: float = 900.0
    """Without any decision, after which it is over: longer than the tries at one document last."""


@dataclass(slots=True, kw_only=True)
class Undecided:
    """A document with what is still to be sent of it."""

    cabinet: AuthorisedCabinet
    document_id: DocumentId
    versions: deque[Version]
    """Ascending; the first is the one that is under way."""
    sends: int = 0
    """Of the first."""
    sent_at: float = 0.0

    @property
    def key(self) -> str:
        """The key of its events."""
        return f"{self.cabinet.cabinet_id}/{self.document_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSender:
    """Sends work, with the ids that it was accepted with."""

    log: Log
    report: RebuildReport

    async def send(
        self, event: DocumentSubmitted | DocumentDeletionRequested | CabinetDeletionRequested
    ) -> None:
        """Return once Kafka has it.

        Raises:
            UnavailableError: Kafka does not acknowledge it; it may be there all the same.
        """
        event_id = uuid5(UUID(event.task_id), event.type)
        headers = Envelope(event_id=str(event_id)).to_headers()
        await self.log.send(_JOBS, key=event.key, value=encode(event), headers=headers)
        self.report.sent[_KINDS[type(event)]] += 1


@dataclass(slots=True, kw_only=True)
class RebuildWindow:
    """Holds few documents at a time; each one's versions follow each other.

    All calls raise UnavailableError where a store or Kafka is away, and TimeoutError where nothing
    is decided any more. What was sent by then is done all the same.
    """

    index: UpkeepIndex
    backlog: Backlog
    sender: JobSender
    records: NeededRecords
    clock: Clock
    report: RebuildReport
    limits: Limits
    tell: Callable[[], None]
    _held: dict[str, Undecided] = field(default_factory=dict, init=False)
    _pause: float = field(default=0.0, init=False)
    _decided_at: float = field(default=0.0, init=False)
    _looked_at: float = field(default=0.0, init=False)

    async def put(self, documents: Collection[Undecided]) -> None:
        """Take documents in and send the first version of each; wait for room before that."""
        while self._held and len(self._held) + len(documents) > self.limits.documents:
            await self.step()
        if not self._held:
            self._decided_at = self.clock.monotonic()
        self._held.update({document.key: document for document in documents})
        await self._send_all(documents)

    async def drain(self) -> None:
        """Return when all are decided."""
        while self._held:
            await self.step()

    async def step(self) -> None:
        """Wait a moment, and go on with what is decided by then."""
        longest, shortest = self.limits.longest_seconds, self.limits.shortest_seconds
        self._pause = min(longest, max(shortest, self._pause * _SLOWER))
        await asyncio.sleep(self._pause)
        if await self._advance():
            self._pause = 0.0
            self._decided_at = self.clock.monotonic()
        elif self._held:
            await self._look_for_lost()
            self._check_patience()
        self.report.waiting = len(self._held)
        self.tell()

    async def _advance(self) -> int:
        """Take out what is decided, and send what follows it; return how many were decided."""
        decided: list[Undecided] = []
        for documents, manifests in await self._manifests(list(self._held.values())):
            for document in documents:
                manifest = manifests.get(document.document_id)
                if manifest is None or manifest.fence < document.versions[0]:
                    continue
                while document.versions and document.versions[0] <= manifest.fence:
                    document.versions.popleft()
                decided.append(document)
                if not document.versions:
                    del self._held[document.key]
                    self.report.finished(manifest)
        for document in decided:
            document.sends = 0
        await self._send_all([document for document in decided if document.versions])
        return len(decided)

    async def _manifests(
        self, documents: Collection[Undecided]
    ) -> list[tuple[list[Undecided], Mapping[DocumentId, Manifest]]]:
        """Return the documents by cabinet, each with its manifests."""
        by_cabinet: dict[CabinetId, list[Undecided]] = defaultdict(list)
        for document in documents:
            by_cabinet[document.cabinet.cabinet_id].append(document)
        found: list[tuple[list[Undecided], Mapping[DocumentId, Manifest]]] = []
        for own in by_cabinet.values():
            for start in range(0, len(own), BATCH):
                batch = own[start : start + BATCH]
                ids = [one.document_id for one in batch]
                found.append((batch, await self.index.manifests(batch[0].cabinet, ids)))
        return found

    async def _send_all(self, documents: Iterable[Undecided]) -> None:
        """Send the first version of each."""
        places = asyncio.Semaphore(_SENDS_AT_ONCE)

        async def send(document: Undecided) -> None:
            async with places:
                await self._send(document)

        ends = await asyncio.gather(*map(send, documents), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _send(self, document: Undecided) -> None:
        while document.versions:
            version = document.versions[0]
            event = await self.records.event(document.cabinet, document.document_id, version)
            if event is not None:
                await self.sender.send(event)
                document.sends += 1
                document.sent_at = self.clock.monotonic()
                return
            document.versions.popleft()
        self._held.pop(document.key, None)

    async def _look_for_lost(self) -> None:
        """Send again what is in no topic, and was not decided before that was seen.

        The order counts: topics, then manifests, since a worker decides before it acknowledges.
        """
        now, age = self.clock.monotonic(), self.limits.lost_seconds
        old = [document for document in self._held.values() if document.sent_at + age < now]
        if not old or now - self._looked_at < age / 2:
            return
        self._looked_at = now
        waiting = await self.backlog.waiting({document.key for document in old})
        lost = [document for document in old if document.key not in waiting]
        for documents, manifests in await self._manifests(lost):
            for document in documents:
                manifest = manifests.get(document.document_id)
                if manifest is None or manifest.fence < document.versions[0]:
                    await self._send_again(document)

    async def _send_again(self, document: Undecided) -> None:
        if document.sends >= _SENDS:
            version = document.versions.popleft()
            _log.error("work_stays_undecided", key=document.key, version=version)
            self.report.gave_up(document.cabinet.cabinet_id, document.document_id, version)
            document.sends = 0
            if not document.versions:
                del self._held[document.key]
                return
        else:
            self.report.again += 1
        await self._send(document)

    def _check_patience(self) -> None:
        silent = self.clock.monotonic() - self._decided_at
        if self._held and silent > self.limits.patience_seconds:
            raise TimeoutError(
                f"nothing was decided for {silent:.0f} s, and {len(self._held)} documents wait: "
                "is a worker running, with this Kafka, Qdrant and WORKER_GROUP?"
            )
