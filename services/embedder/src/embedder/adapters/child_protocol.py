"""What a worker and its parser processes say to each other, and how it lies on the pipe.

A frame is the length of its header and of its payload (each 4 bytes, big-endian), the header in
JSON, and the payload: token ids as raw 32-bit integers. The worker trusts no answer: a frame that
is too long or means nothing is a :class:`ProtocolError`.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, TypeAlias

import numpy as np

from embedder.domain.chunking import ChunkPolicy
from embedder.domain.parsed import Chunk
from embedder.domain.reading import ReadingLimits

__all__ = [
    "PREFIX_BYTES",
    "Frame",
    "Header",
    "ProtocolError",
    "Request",
    "Setup",
    "chunk_frames",
    "chunks_of",
    "lengths",
    "pack",
    "read_frame",
    "unpack",
]

Header: TypeAlias = dict[str, Any]

_PREFIX: Final = struct.Struct(">II")
PREFIX_BYTES: Final = _PREFIX.size
_MAX_PART: Final = 16 * 1024 * 1024
_CHUNKS_PER_FRAME: Final = 64


class ProtocolError(Exception):
    """The other side said something that means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message."""

    header: Header
    payload: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a process is told once, before anything else."""

    parent: int
    """Process id of the worker: without it the process must end."""
    tokenizer: str
    """Path of a ``tokenizer.json``, or ``hash``."""
    policy: ChunkPolicy
    limits: ReadingLimits
    max_chunks: int
    memory_bytes: int
    cpu_seconds: int
    """CPU time for one document."""
    extra_extractor: str | None = None
    """Path of a module that reads one more media type."""

    def to_header(self) -> Header:
        """Return it as a frame's header."""
        return asdict(self)

    @classmethod
    def from_header(cls, header: Header) -> Self:
        """Read a header that :meth:`to_header` made."""
        fields = dict(header)
        fields["policy"] = ChunkPolicy(**fields["policy"])
        fields["limits"] = ReadingLimits(**fields["limits"])
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One body to read."""

    body: Path
    engine: str

    def to_header(self) -> Header:
        """Return it as a frame's header."""
        return {"body": str(self.body), "engine": self.engine}

    @classmethod
    def from_header(cls, header: Header) -> Self:
        """Read a header that :meth:`to_header` made."""
        return cls(body=Path(header["body"]), engine=header["engine"])


def pack(frame: Frame) -> bytes:
    """Return a frame as it lies on the pipe."""
    header = json.dumps(frame.header, ensure_ascii=False).encode()
    return b"".join((_PREFIX.pack(len(header), len(frame.payload)), header, frame.payload))


def lengths(prefix: bytes) -> tuple[int, int]:
    """Return the lengths of header and payload that a prefix announces.

    Raises:
        ProtocolError: one of them is longer than any frame.
    """
    header, payload = _PREFIX.unpack(prefix)
    if header > _MAX_PART or payload > _MAX_PART:
        raise ProtocolError("a frame is too long")
    return header, payload


def unpack(header: bytes, payload: bytes) -> Frame:
    """Return the frame of two parts.

    Raises:
        ProtocolError: the header is no JSON object.
    """
    try:
        found = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a header is not JSON") from error
    if not isinstance(found, dict):
        raise ProtocolError("a header is not an object")
    return Frame(header=found, payload=payload)


def read_frame(source: BinaryIO) -> Frame | None:
    """Read one frame, waiting for it; None where the other side has gone.

    Raises:
        ProtocolError: it means nothing.
    """
    prefix = source.read(PREFIX_BYTES)
    if len(prefix) < PREFIX_BYTES:
        return None
    header, payload = lengths(prefix)
    rest = source.read(header + payload)
    if len(rest) < header + payload:
        return None
    return unpack(rest[:header], rest[header:])


def chunk_frames(chunks: Sequence[Chunk]) -> Iterator[Frame]:
    """Return chunks as frames, a few in each, so that reading one never takes long."""
    rest = iter(chunks)
    while batch := list(islice(rest, _CHUNKS_PER_FRAME)):
        fields = [
            [chunk.n, chunk.start, chunk.end, chunk.page, int(chunk.tokens.size), chunk.text]
            for chunk in batch
        ]
        ids = np.concatenate([chunk.tokens for chunk in batch]).astype("<i4")
        yield Frame(header={"kind": "chunks", "chunks": fields}, payload=ids.tobytes())


def chunks_of(frame: Frame) -> list[Chunk]:
    """Return the chunks of a frame.

    Raises:
        ProtocolError: they are not what :func:`chunk_frames` made.
    """
    try:
        ids = np.frombuffer(frame.payload, dtype="<i4").astype(np.int32, copy=False)
        chunks: list[Chunk] = []
        at = 0
        for fields in frame.header["chunks"]:
            n, start, end, page, count, text = _checked(fields)
            tokens = ids[at : at + count]
            at += count
            chunks.append(Chunk(n=n, text=text, start=start, end=end, page=page, tokens=tokens))
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError("chunks mean nothing") from error
    if at != ids.size:
        raise ProtocolError("chunks and their tokens differ")
    return chunks


def _checked(fields: list[Any]) -> list[Any]:
    n, start, end, page, count, text = fields
    numbers = all(isinstance(value, int) and value >= 0 for value in (n, start, end, count))
    has_page = page is None or (isinstance(page, int) and page > 0)
    if not (numbers and has_page and isinstance(text, str)):
        raise ValueError("a field has the wrong type")
    return fields
