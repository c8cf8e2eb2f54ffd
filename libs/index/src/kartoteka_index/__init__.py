"""Kartoteka's index in Qdrant: the only package that speaks to it."""

from kartoteka_index.client import QdrantSettings
from kartoteka_index.index import Index
from kartoteka_index.manifest import (
    KEEP,
    Decision,
    Fault,
    Keep,
    Manifest,
    ManifestPage,
    Outcome,
    Published,
    Starts,
)
from kartoteka_index.model import IndexMismatchError, ModelIdentity
from kartoteka_index.points import ChunkPoint
from kartoteka_index.reach import Reach
from kartoteka_index.run_state import RunFault, RunState, RunStep
from kartoteka_index.search import Hit, Scalar, SearchQuery

__all__ = [
    "KEEP",
    "ChunkPoint",
    "Decision",
    "Fault",
    "Hit",
    "Index",
    "IndexMismatchError",
    "Keep",
    "Manifest",
    "ManifestPage",
    "ModelIdentity",
    "Outcome",
    "Published",
    "QdrantSettings",
    "Reach",
    "RunFault",
    "RunState",
    "RunStep",
    "Scalar",
    "SearchQuery",
    "Starts",
]
