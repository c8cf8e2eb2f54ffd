"""Chunks as points."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kartoteka_contracts.ids import DocumentId, Epoch, Version

__all__ = ["ChunkPoint"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkPoint:
    """One chunk of a document, with its vector."""

    document_id: DocumentId
    version: Version
    epoch: Epoch
    n: int
    """Its place in the document, from 0."""
    vector: NDArray[np.float32]
    text: str
    page: int | None
    """From 1, where the format has pages."""
    start: int
    """Offset of its first character in the extracted text."""
    end: int
    """Offset after its last character."""
    external_id: str
    filename: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
