"""Writes of a bounded size: Qdrant refuses a request that is too large, however often it comes."""

from collections.abc import Iterable, Iterator

from qdrant_client import models

__all__ = ["batches"]


def batches(
    points: Iterable[models.PointStruct], *, count: int, size: int
) -> Iterator[list[models.PointStruct]]:
    """Return the points in order, in batches; made one after the other, as they are taken.

    Args:
        points: taken one at a time, so that no more of them than a batch are in memory.
        count: points of a batch at most.
        size: bytes of a batch in JSON at most; a point that is larger by itself goes alone.
    """
    batch: list[models.PointStruct] = []
    held = 0
    for point in points:
        # A document's metadata is in each of its chunks, so it may be most of them.
        more = len(point.model_dump_json().encode())
        if batch and (len(batch) == count or held + more > size):
            yield batch
            batch, held = [], 0
        batch.append(point)
        held += more
    if batch:
        yield batch
