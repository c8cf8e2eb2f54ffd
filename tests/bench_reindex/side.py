"""What every side of the comparison does."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tests.bench_reindex.corpus import Folder
from tests.bench_reindex.truth import Chunk

__all__ = ["Kill", "Ran", "Side"]


class Kill(StrEnum):
    """When a run is ended by SIGKILL."""

    MODEL = "model"
    """When half of the texts that such a run embeds are embedded."""
    WRITE = "write"
    """When the store has its first write of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one run of a side took."""

    seconds: float
    embedded: int
    """Texts that went through the model."""
    read: int
    """Bytes of documents."""
    cpu: float = 0.0
    """Seconds of CPU, of all processes of the side; not told of a run that was killed."""
    was_killed: bool = False


class Side(Protocol):
    """One way to keep a store as a folder is."""

    name: str

    async def run(self, folder: Folder, *, kill: Kill | None = None, half: int = 0) -> Ran:
        """Bring the store to what the folder holds; ``half`` is for :attr:`Kill.MODEL`."""
        ...

    async def chunks(self) -> list[Chunk]:
        """Return all that the store holds."""
        ...
