"""Readers: they search all the time, and must see a document's old version or its new one."""

import asyncio
from random import Random
from typing import Final

from tests.ledger.book import Book, Known
from tests.ledger.findings import Finding, Findings, Kind
from tests.ledger.replica import Replica

__all__ = ["Reader"]

_PAUSE: Final = 0.1
_RECENT: Final = 15
_TOP: Final = 50
_WORDS: Final = "archive basin cedar"


class Reader:
    """Searches recent documents, one after the other, until cancelled."""

    def __init__(self, book: Book, replicas: list[Replica], findings: Findings) -> None:
        self._book = book
        self._replicas = replicas
        self._findings = findings
        self._random = Random("what is read")
        self.answers = 0
        self.empty = 0
        """Answers with nothing, where something is published all the time."""

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await asyncio.sleep(_PAUSE)
            recent = [known for known in self._book.documents[-_RECENT:] if known.floor]
            if recent:
                await self._read(self._random.choice(recent))

    async def _read(self, document: Known) -> None:
        floor = document.floor
        versions = await self._versions(document)
        if versions == [] and not document.may_vanish:
            # A search looks again where it was overtaken, three times at most: a burst of newer
            # versions may leave it with nothing, once.
            self.empty += 1
            self._book.ledger.note("nothing read", document=document.document_id, floor=floor)
            versions = await self._versions(document)
        if versions is None:
            return
        if len(versions) > 1:
            self._found(Kind.STALE, document, f"one answer mixes versions {versions}")
        elif versions and versions[0] < floor:
            self._found(
                Kind.STALE, document, f"version {versions[0]} is read, {floor} had succeeded"
            )
        elif not versions and not document.may_vanish:
            self._found(Kind.MISSING, document, f"nothing is read, and {floor} had succeeded")

    async def _versions(self, document: Known) -> list[int] | None:
        """Return the versions in one answer; None where there was none."""
        replica = self._random.choice(self._replicas)
        answer = await replica.search(
            document.cabinet, _WORDS, document=document.document_id, top_k=_TOP
        )
        if answer is None or not answer.is_success:
            return None
        self.answers += 1
        return sorted({int(hit["version"]) for hit in answer.json()["hits"]})

    def _found(self, kind: Kind, document: Known, detail: str) -> None:
        self._findings.add(
            Finding(kind=kind, cabinet=document.cabinet, name=document.name, detail=detail)
        )
