"""The suite on the embedded Qdrant, over HTTP as in production, and what only a server can do."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kartoteka_contracts.errors import UnavailableError
from kartoteka_index import Index, QdrantSettings
from kartoteka_testkit.index_cases import MODEL, Case, asking, cabinet
from kartoteka_testkit.qdrant_facade import QdrantFacade, qdrant_facade
from kartoteka_testkit.suites.index import ConcurrentSuite, IndexSuite
from kartoteka_testkit.suites.index_life import IndexLifeSuite
from kartoteka_testkit.suites.index_runs import IndexRunsSuite

pytestmark = pytest.mark.integration

_names = itertools.count()


@pytest.fixture(scope="module")
def facade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantFacade]:
    with qdrant_facade(tmp_path_factory.mktemp("facade")) as running:
        yield running


@pytest.fixture
async def index(facade: QdrantFacade) -> AsyncIterator[Index]:
    settings = QdrantSettings(url=facade.url, collection=f"t{next(_names)}")
    opened = Index.open(settings, MODEL)
    await opened.ensure()
    yield opened
    await opened.close()


class TestIndexOnFacade(IndexSuite, IndexLifeSuite, IndexRunsSuite, ConcurrentSuite):
    """All of the suite, and what needs requests that wait."""


async def test_several_processes_may_ensure_at_once(facade: QdrantFacade) -> None:
    settings = QdrantSettings(url=facade.url, collection=f"t{next(_names)}")
    several = [Index.open(settings, MODEL) for _ in range(4)]
    await asyncio.gather(*(each.ensure() for each in several))
    for each in several:
        await each.ping()
        await each.close()


async def test_an_absent_collection_and_an_absent_server_are_unavailable(
    facade: QdrantFacade,
) -> None:
    settings = QdrantSettings(url=facade.url, collection=f"t{next(_names)}")
    missing = Index.open(settings, MODEL)
    with pytest.raises(UnavailableError) as unavailable:
        await missing.search(cabinet(), asking())
    assert unavailable.value.code == "index_unavailable"
    with pytest.raises(UnavailableError):
        await missing.ping()
    await missing.close()
    nowhere = Index.open(QdrantSettings(url="http://127.0.0.1:9"), MODEL)
    with pytest.raises(UnavailableError, match="no answer from Qdrant"):
        await nowhere.ping()
    await nowhere.close()


async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with qdrant_facade(tmp_path, flush_seconds=0.3) as facade:
        index = Index.open(QdrantSettings(url=facade.url, upsert_batch=64), MODEL)
        await index.ensure()
        acknowledged: dict[str, int] = {}

        async def work(name: str, enough: asyncio.Event) -> None:
            case = Case(index, cabinet(), name)
            for version in itertools.count(1):
                await case.publish(version, count=100)
                acknowledged[name] = version
                if version == 3:
                    enough.set()

        for round_number in range(3):
            events = {f"{round_number}-{n}": asyncio.Event() for n in range(3)}
            writers = [asyncio.create_task(work(*item)) for item in events.items()]
            await asyncio.gather(*(enough.wait() for enough in events.values()))
            await asyncio.to_thread(facade.kill)
            ends = await asyncio.gather(*writers, return_exceptions=True)
            assert all(isinstance(end, UnavailableError) for end in ends), ends
            await asyncio.to_thread(facade.start)
            for name, version in acknowledged.items():
                case = Case(index, cabinet(), name)
                fence, _, _, published = await case.stands()
                assert fence >= version
                assert published == (fence, 0)
                assert await case.count(fence) == 100
                hits = await index.search(
                    case.cabinet, asking(top_k=100, document_ids=(case.document_id,))
                )
                assert [hit.version for hit in hits] == [fence] * 100
        await index.close()
