"""One collection: a shard of the engine, and what must be true of it on disk."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, TypeVar

import qdrant_edge as edge
from qdrant_client import models

from kartoteka_local.qdrant.meta import CollectionMeta
from kartoteka_local.qdrant.refusal import CorruptDataError, Refusal

__all__ = ["Collection"]

T = TypeVar("T")

_SHARD: Final = "shard"
_UNFINISHED: Final = "unfinished"
_OPENING: Final = "opening"
# The engine scans exactly; building a graph would block this process for minutes.
_NEVER: Final = 10**9
_DISTANCES: Final = {
    models.Distance.COSINE: edge.Distance.Cosine,
    models.Distance.DOT: edge.Distance.Dot,
    models.Distance.EUCLID: edge.Distance.Euclid,
    models.Distance.MANHATTAN: edge.Distance.Manhattan,
}


class Collection:
    """An open collection. Every call blocks; nothing may await between a check and its write."""

    def __init__(self, folder: Path, meta: CollectionMeta, shard: edge.EdgeShard) -> None:
        self._folder = folder
        self._shard = shard
        self.meta = meta

    @classmethod
    def create(cls, folder: Path, created: models.CreateCollection) -> Self:
        """Create a collection in a folder that is not there yet."""
        meta = CollectionMeta(created=created)
        folder.mkdir()
        (folder / _UNFINISHED).touch()
        shard = _engine(lambda: edge.EdgeShard.create(str(folder / _SHARD), _config(meta)))
        _engine(shard.flush)
        meta.write(folder, sync=True)
        (folder / _UNFINISHED).unlink()
        return cls(folder, meta, shard)

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """Open what is there; None where its creation was never finished, and is now undone.

        Raises:
            CorruptDataError: the engine refuses it, or points are missing.
        """
        if (folder / _UNFINISHED).exists():
            shutil.rmtree(folder)
            return None
        meta = CollectionMeta.read(folder)
        opening = folder / _OPENING
        if opening.exists():
            print(
                f"{folder} did not open completely last time. If this process ends here again, the "
                "folder is damaged: delete it, start again and index the documents anew.",
                flush=True,
            )
        opening.touch()
        collection = cls(folder, meta, _load(folder, meta))
        collection._check()
        opening.unlink()
        _engine(collection._shard.optimize)
        return collection

    def count(self, wanted: edge.Filter | None = None) -> int:
        """Return exactly how many points match."""
        request = edge.CountRequest(exact=True, filter=wanted)
        return self.read(lambda shard: shard.count(request))

    def read(self, call: Callable[[edge.EdgeShard], T]) -> T:
        """Ask the engine.

        Raises:
            Refusal: what the engine's exception amounts to.
        """
        return _engine(lambda: call(self._shard))

    def write(self, operation: edge.UpdateOperation, *, deleting: int = 0) -> None:
        """Apply one operation; it survives kill -9 on return.

        Args:
            operation: what to do.
            deleting: how many points it deletes at most.

        Raises:
            Refusal: what the engine's exception amounts to. A part of a batch may be applied, so
                batches are checked before.
        """
        if self.meta.exactly or deleting:
            self.meta.exactly = False
            self.meta.at_least = max(0, self.meta.at_least - deleting)
            self.meta.write(self._folder)
        _engine(lambda: self._shard.update(operation))

    def index(self, field: str, schema: models.PayloadFieldSchema, params: object) -> None:
        """Create a payload index; the same one again changes nothing."""
        if self.meta.indexes.get(field) == schema:
            return
        self.write(edge.UpdateOperation.create_field_index(field, params))  # type: ignore[arg-type] # the caller made them from the engine's classes
        self.meta.indexes[field] = schema
        self.meta.write(self._folder)

    def unindex(self, field: str) -> None:
        """Delete a payload index, if there is one."""
        self.write(edge.UpdateOperation.delete_field_index(field))
        self.meta.indexes.pop(field, None)
        self.meta.write(self._folder)

    @property
    def is_dirty(self) -> bool:
        """Whether something was written since the last flush."""
        return not self.meta.exactly

    def flush(self) -> None:
        """Write everything past the page cache, and note how much it is."""
        _engine(self._shard.flush)
        self.meta.at_least = self.count()
        self.meta.exactly = True
        self.meta.write(self._folder, sync=True)

    def close(self) -> None:
        """Flush and let go of the files."""
        if self.is_dirty:
            self.flush()
        _engine(self._shard.close)

    def drop(self) -> None:
        """Close and delete everything, so that a kill on the way leaves nothing half there."""
        _engine(self._shard.close)
        (self._folder / _UNFINISHED).touch()
        shutil.rmtree(self._folder)

    def _check(self) -> None:
        found = self.count()
        due = self.meta.at_least
        if found < due or (self.meta.exactly and found != due):
            self._shard.close()
            expected = f"{due}" if self.meta.exactly else f"at least {due}"
            raise CorruptDataError(self._folder, f"it has {found} points and must have {expected}")


def _config(meta: CollectionMeta) -> edge.EdgeConfig:
    vectors = meta.vectors
    return edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(size=vectors.size, distance=_DISTANCES[vectors.distance]),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=_NEVER),
        wal_enabled=True,
    )


def _load(folder: Path, meta: CollectionMeta) -> edge.EdgeShard:
    try:
        return edge.EdgeShard.load(str(folder / _SHARD), _config(meta))
    except Exception as error:  # the engine raises nothing more specific
        raise CorruptDataError(folder, f"the engine cannot open it ({error})") from error


def _engine(call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:
        raise Refusal.of_engine(error) from error
