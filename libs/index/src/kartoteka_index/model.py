import re
from dataclasses import dataclass

from kartoteka_contracts.errors import KartotekaError

__all__ = ["IndexMismatchError", "ModelIdentity"]


class IndexMismatchError(KartotekaError):
    """A collection was made for another model; nothing was read or written."""

    def __init__(self, message: str) -> None:
        super().__init__("index_mismatch", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """The embedding model that all vectors of a chunk collection come from."""

    name: str
    """As the model's publisher writes it."""
    dimension: int
    """Numbers in one vector."""

    def chunk_collection(self, prefix: str) -> str:
        """Return the name of the collection of this model's chunks."""
        return f"{prefix}-{_slug(self.name)}-{self.dimension}"

    def document_collection(self, prefix: str) -> str:
        """Return the name of the collection of the manifests that go with those chunks."""
        return f"{self.chunk_collection(prefix)}-documents"


def _slug(name: str) -> str:
    """Return what a collection's name can hold; two models of one slug are told apart by ensure."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
