"""The Qdrant in memory means what the engine means: the index's whole suite holds on it."""

from typing import Any, cast

import pytest
from qdrant_client import AsyncQdrantClient

from kartoteka_index import Index, QdrantSettings
from kartoteka_testkit.index_cases import MODEL
from kartoteka_testkit.suites.index import IndexSuite
from kartoteka_testkit.suites.index_life import IndexLifeSuite
from tests.model.memory_qdrant import MemoryCollections, MemoryQdrant


@pytest.fixture
async def index() -> Index:
    client: Any = MemoryQdrant(MemoryCollections())
    opened = Index(cast("AsyncQdrantClient", client), QdrantSettings(url="http://memory"), MODEL)
    await opened.ensure()
    return opened


class TestIndexOnMemoryQdrant(IndexSuite, IndexLifeSuite):
    """All of the suite."""
