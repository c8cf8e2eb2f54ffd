"""Where the peers meet the model, the folder and the store: what passes is counted.

Here a run can also be killed, at a chosen point.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient

from tests.bench.sizes import MODEL_TOKENS

__all__ = ["Counts", "Death", "Model", "open_store", "read_folder"]


@dataclass(slots=True, kw_only=True)
class Counts:
    """What has passed so far; kept in a file too, for whoever outlives this process."""

    file: Path
    embedded: int = 0
    read: int = 0
    """Bytes of documents."""

    def keep(self) -> None:
        """Write both figures."""
        self.file.write_text(f"{self.embedded} {self.read}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """When this process is to die by SIGKILL."""

    embeddings: int | None = None
    """As soon as so many texts are embedded, before anybody has the vectors."""
    at_write: bool = False
    """As soon as the store has its first write."""


def die() -> None:
    """End this process as the kernel does when memory is out."""
    os.kill(os.getpid(), signal.SIGKILL)


def open_store(state: Path, death: Death) -> QdrantClient:
    """Open Qdrant's local mode in a folder."""
    kind = _MortalClient if death.at_write else QdrantClient
    return kind(path=str(state / "qdrant"))


class _MortalClient(QdrantClient):
    """Dies of the first write, by whichever of the two calls the peer makes it."""

    def upsert(self, *args: Any, **kwargs: Any) -> Any:
        super().upsert(*args, **kwargs)
        die()

    def upload_points(self, *args: Any, **kwargs: Any) -> Any:
        super().upload_points(*args, **kwargs)
        die()


class Model:
    """sentence-transformers, on the CPU, with every text counted."""

    def __init__(self, counts: Counts, death: Death) -> None:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - torch: not to dump

        from tests.bench.chunks import MODEL_FOLDER  # noqa: PLC0415 - its package comes with it

        self._counts = counts
        self._death = death
        self._model = SentenceTransformer(str(MODEL_FOLDER), device="cpu")
        self._model.max_seq_length = MODEL_TOKENS  # the package's 128 would cut the chunks off
        self._model.encode(["warm up"])

    @property
    def tokenizer(self) -> Any:
        """The model's own."""
        return self._model.tokenizer

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text."""
        vectors: list[list[float]] = self._model.encode(texts, show_progress_bar=False).tolist()
        self._counts.embedded += len(texts)
        self._counts.keep()
        if self._death.embeddings is not None and self._counts.embedded >= self._death.embeddings:
            die()
        return vectors


def read_folder(folder: Path, counts: Counts) -> Iterator[tuple[str, str]]:
    """Yield each file's name and text."""
    for path in sorted(folder.iterdir()):
        body = path.read_bytes()
        counts.read += len(body)
        yield path.name, body.decode("ascii")
    counts.keep()
