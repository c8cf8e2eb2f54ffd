"""The suite on the client's own in-memory Qdrant.

Not here, and on the facade only: ``ConcurrentSuite``, since in memory no request ever waits, so no
other task runs meanwhile (``test_fence_interleavings`` drives those steps by hand instead); several
processes, kills and failures of a server, of which there is none; payload indexes, which are
ignored.
"""

from collections.abc import AsyncIterator

import pytest
from qdrant_client import AsyncQdrantClient

from kartoteka_index import Index, QdrantSettings
from kartoteka_testkit.index_cases import MODEL
from kartoteka_testkit.suites.index import IndexSuite
from kartoteka_testkit.suites.index_life import IndexLifeSuite
from kartoteka_testkit.suites.index_runs import IndexRunsSuite

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")


@pytest.fixture
async def index() -> AsyncIterator[Index]:
    opened = Index(AsyncQdrantClient(":memory:"), QdrantSettings(url="http://memory"), MODEL)
    await opened.ensure()
    yield opened
    await opened.close()


class TestIndexInMemory(IndexSuite, IndexLifeSuite, IndexRunsSuite):
    """All of the suite."""
