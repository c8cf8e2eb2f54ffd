"""What is asked of a search, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kartoteka_contracts.ids import DocumentId, Version

__all__ = ["Hit", "Scalar", "SearchQuery"]

Scalar = str | int | float | bool | None
"""A value that metadata can be matched with."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchQuery:
    """A search within one cabinet. Everything that is given must hold."""

    vector: NDArray[np.float32] | Sequence[float]
    top_k: int
    score_threshold: float | None = None
    """Cosine, -1 to 1; hits below it are left out."""
    document_ids: tuple[DocumentId, ...] = ()
    """Any of these; all where empty."""
    external_ids: tuple[str, ...] = ()
    """Any of these; all where empty."""
    metadata: Mapping[str, Scalar | Sequence[Scalar]] = field(default_factory=dict)
    """Key to the value that it must equal, or to values of which it must equal any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One chunk of the answer."""

    text: str
    score: float
    """Cosine, -1 to 1, higher is nearer."""
    document_id: DocumentId
    external_id: str
    filename: str
    version: Version
    page: int | None
    start: int
    end: int
    metadata: Mapping[str, Any]
