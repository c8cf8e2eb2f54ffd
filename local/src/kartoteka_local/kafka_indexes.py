"""Kafka's index files, looked through before a broker trusts them.

After an orderly stop a broker takes them as they are. From garbage it reads wrong ends of its
partitions, serves for all that, and everybody waits for records that never come.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["damaged_indexes"]

_ORDERLY: Final = ".kafka_cleanshutdown"
_OFFSET: Final = struct.Struct(">ii")
"""Offset relative to the segment's first one, and the position in the segment."""
_TIME: Final = struct.Struct(">qi")
"""Milliseconds since the epoch, and an offset as above."""
_LATEST_MS: Final = 1 << 43
"""The year 2248: no clock of a producer is that wrong."""


def damaged_indexes(data: Path) -> list[Path]:
    """Return the index files that no broker wrote, in order; the fewest that can be told.

    Args:
        data: the log folder of a broker that does not run.
    """
    orderly = (data / _ORDERLY).exists()
    return sorted(
        index
        for partition in data.iterdir()
        if partition.is_dir()
        for segment in _trusted(partition, orderly=orderly)
        for index in _damaged(segment, orderly=orderly)
    )


def _trusted(partition: Path, *, orderly: bool) -> Iterator[Path]:
    """Yield the segments whose indexes the broker takes as they are."""
    segments = sorted(partition.glob("*.log"))
    # After a kill the last one, which was written to, has its index built anew.
    yield from segments if orderly else segments[:-1]


def _damaged(segment: Path, *, orderly: bool) -> Iterator[Path]:
    size = segment.stat().st_size
    offsets, times = segment.with_suffix(".index"), segment.with_suffix(".timeindex")
    if offsets.exists() and not _offsets_hold(_content(offsets, _OFFSET, orderly=orderly), size):
        yield offsets
    if times.exists() and not _times_hold(_content(times, _TIME, orderly=orderly)):
        yield times


def _content(index: Path, entry: struct.Struct, *, orderly: bool) -> bytes:
    content = index.read_bytes()
    if orderly:
        return content
    # A kill leaves room behind the entries that was made for more.
    used = len(content.rstrip(b"\0"))
    return content[: -(-used // entry.size) * entry.size]


def _offsets_hold(content: bytes, size: int) -> bool:
    if len(content) % _OFFSET.size:
        return False
    before = (-1, -1)
    for offset, position in _OFFSET.iter_unpack(content):
        if not (offset > before[0] and before[1] < position < size):
            return False
        before = offset, position
    return True


def _times_hold(content: bytes) -> bool:
    if len(content) % _TIME.size:
        return False
    before = (-1, -1)
    for milliseconds, offset in _TIME.iter_unpack(content):
        if not (before[0] <= milliseconds < _LATEST_MS and before[1] <= offset):
            return False
        before = milliseconds, offset
    return True
