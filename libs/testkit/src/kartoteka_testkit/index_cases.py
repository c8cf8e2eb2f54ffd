"""Documents, chunks and decisions for tests of the index."""

from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from kartoteka_contracts.access import AuthorisedCabinet, grant
from kartoteka_contracts.ids import CabinetId, DocumentId, Epoch, TaskId, Version, new_task_id
from kartoteka_contracts.ids import document_id as derived
from kartoteka_index import (
    KEEP,
    ChunkPoint,
    Decision,
    Fault,
    Index,
    ModelIdentity,
    Outcome,
    Published,
    SearchQuery,
)

__all__ = ["MODEL", "Case", "asking", "cabinet", "direction"]

MODEL: Final = ModelIdentity(name="test/axes", dimension=8)
"""Its vectors are the axes: chunk n points along axis n."""

_NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def cabinet(number: int = 7) -> AuthorisedCabinet:
    """Return a granted cabinet."""
    return grant(CabinetId(number))


def direction(n: int, tilt: float = 0.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the vector of chunk n; a higher tilt is farther from the axis, for every n alike."""
    vector = np.zeros(MODEL.dimension, dtype=np.float32)
    vector[n % (MODEL.dimension - 1)] = 1.0
    vector[-1] = tilt
    return vector


def asking(n: int = 0, top_k: int = 5, **wanted: Any) -> SearchQuery:
    """Return the query that chunk n answers best."""
    return SearchQuery(vector=direction(n), top_k=top_k, **wanted)


class Case:
    """One document, and all that can be done about it."""

    def __init__(self, index: Index, of: AuthorisedCabinet, name: str = "a.txt") -> None:
        self.index = index
        self.cabinet = of
        self.name = name
        self.document_id: DocumentId = derived(of.cabinet_id, name)

    def chunks(
        self, version: int, epoch: int = 0, *, count: int = 3, tilt: float = 0.0, **fields: Any
    ) -> list[ChunkPoint]:
        """Return the chunks of one work; every text names its version."""
        return [
            ChunkPoint(
                document_id=self.document_id,
                version=Version(version),
                epoch=Epoch(epoch),
                n=n,
                vector=direction(n, tilt),
                text=f"{self.name} {version}.{epoch} #{n}",
                page=1,
                start=n * 10,
                end=n * 10 + 9,
                external_id=self.name,
                filename=self.name,
                **fields,
            )
            for n in range(count)
        ]

    def decision(
        self,
        version: int,
        epoch: int = 0,
        *,
        outcome: Outcome = Outcome.PUBLISHED,
        task_id: TaskId | None = None,
        count: int = 3,
    ) -> Decision:
        """Return what a worker would write."""
        keeping = outcome in {Outcome.UNCHANGED, Outcome.FAILED, Outcome.CANCELLED}
        published = self._published(version, epoch, count)
        return Decision(
            document_id=self.document_id,
            external_id=self.name,
            version=Version(version),
            epoch=Epoch(epoch),
            outcome=outcome,
            task_id=task_id or new_task_id(),
            decided_at=_NOW,
            published=published if outcome is Outcome.PUBLISHED else KEEP if keeping else None,
            error=Fault(code="malformed", message="damaged") if outcome is Outcome.FAILED else None,
        )

    async def write(self, version: int, epoch: int = 0, **fields: Any) -> None:
        """Store the chunks of one work, unpublished."""
        await self.index.upsert(self.cabinet, self.chunks(version, epoch, **fields))

    async def publish(self, version: int, epoch: int = 0, *, count: int = 3, **fields: Any) -> bool:
        """Do as a worker does; False where the work was superseded."""
        await self.write(version, epoch, count=count, **fields)
        work = (self.document_id, Version(version), Epoch(epoch))
        if (
            await self.index.decide(self.cabinet, self.decision(version, epoch, count=count))
            is None
        ):
            await self.index.discard(self.cabinet, *work)
            return False
        await self.index.sweep(self.cabinet, *work)
        return True

    async def count(self, version: int, epoch: int = 0) -> int:
        """Return how many chunks of one work are stored."""
        return await self.index.count(
            self.cabinet, self.document_id, Version(version), Epoch(epoch)
        )

    async def stands(self) -> tuple[int, int, Outcome | None, tuple[int, int] | None]:
        """Return fence, epoch, outcome and what is published, as written."""
        found = await self.index.manifest(self.cabinet, self.document_id)
        assert found is not None
        published = found.published
        return (
            found.fence,
            found.epoch,
            found.outcome,
            None if published is None else (published.version, published.epoch),
        )

    def _published(self, version: int, epoch: int, count: int) -> Published:
        return Published(
            version=Version(version),
            epoch=Epoch(epoch),
            chunks=count,
            sha256="0" * 64,
            fingerprint="f",
            media_type="text/plain",
            filename=self.name,
            metadata={"lang": "de"},
            characters=30,
            published_at=_NOW,
        )
