"""What the facade itself knows of a collection, beside the engine's files."""

import os
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from qdrant_client import models

from kartoteka_local.qdrant.refusal import CorruptDataError

__all__ = ["CollectionMeta"]

_FILE: Final = "kartoteka-meta.json"


class CollectionMeta(BaseModel):
    """A collection's description, and how many points must be found when it is opened.

    ``at_least`` holds from before a write is made until the next flush: the engine replays its log
    after a kill, so more points than at the flush may be found, and fewer only by what was deleted.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    created: models.CreateCollection
    indexes: dict[str, models.PayloadFieldSchema] = {}
    at_least: int = 0
    """Points that must be found."""
    exactly: bool = True
    """Whether no more than that may be found: nothing was written since the flush."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a collection's description.

        Raises:
            CorruptDataError: it is missing or unreadable.
        """
        try:
            return cls.model_validate_json((folder / _FILE).read_bytes())
        except (OSError, ValidationError) as error:
            raise CorruptDataError(folder, f"{_FILE} is missing or unreadable") from error

    def write(self, folder: Path, *, sync: bool = False) -> None:
        """Replace the description on disk at once; with ``sync``, past the page cache."""
        fresh = folder / f"{_FILE}.new"
        with fresh.open("wb") as file:
            file.write(self.model_dump_json(exclude_none=True, by_alias=True).encode())
            if sync:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(folder / _FILE)

    @property
    def vectors(self) -> models.VectorParams:
        """The collection's one vector."""
        vectors: Any = self.created.vectors
        assert isinstance(vectors, models.VectorParams)  # noqa: S101 - checked when created
        return vectors
