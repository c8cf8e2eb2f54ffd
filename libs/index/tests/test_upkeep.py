"""What reconciliation asks of the index, in memory and of the engine behind the facade."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient

from kartoteka_contracts.access import grant
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId, Epoch, TaskId, Version, document_id, new_task_id
from kartoteka_index.client import QdrantSettings
from kartoteka_index.manifest import Decision, Manifest, Outcome
from kartoteka_index.model import ModelIdentity
from kartoteka_index.points import ChunkPoint
from kartoteka_index.upkeep import Upkeep, Work, discover
from kartoteka_testkit.qdrant_facade import QdrantFacade, qdrant_facade

SEVEN, EIGHT = grant(CabinetId(7)), grant(CabinetId(8))
DOCUMENT = document_id(CabinetId(7), "a")
MODEL = ModelIdentity(name="some/model", dimension=4)
_TASK: Final[TaskId] = new_task_id()


@pytest.fixture(scope="module")
def facade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantFacade]:
    with qdrant_facade(tmp_path_factory.mktemp("qdrant")) as facade:
        yield facade


@pytest.fixture(params=["memory", pytest.param("facade", marks=pytest.mark.integration)])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Upkeep]:
    del tmp_path
    if request.param == "memory":
        settings = QdrantSettings(url="http://127.0.0.1:1")
        index = Upkeep(AsyncQdrantClient(":memory:"), settings, MODEL)
    else:
        facade = request.getfixturevalue("facade")
        name = f"test-{new_task_id()[-12:]}"
        index = Upkeep.open(QdrantSettings(url=facade.url, collection=name), MODEL)
    await index.ensure()
    yield index
    await index.close()


def _chunks(version: int, count: int, *, epoch: int = 0) -> list[ChunkPoint]:
    return [
        ChunkPoint(
            document_id=DOCUMENT,
            version=Version(version),
            epoch=Epoch(epoch),
            n=n,
            vector=np.full(4, 0.5, dtype=np.float32),
            text=str(n),
            page=None,
            start=0,
            end=1,
            external_id="a",
            filename="a",
        )
        for n in range(count)
    ]


async def _works(index: Upkeep, *, before: int = 2**53 - 1) -> Counter[Work]:
    found: Counter[Work] = Counter()
    async for page in index.works(SEVEN, before=before):
        assert sum(page.values()) <= 1000
        found.update(page)
    return found


async def test_works_are_counted_over_all_pages_and_within_the_cabinet(index: Upkeep) -> None:
    assert await _works(index) == {}
    await index.upsert(SEVEN, _chunks(5, 1500))
    await index.upsert(SEVEN, _chunks(5, 2, epoch=9))
    await index.upsert(EIGHT, _chunks(6, 3))
    assert await _works(index) == {(DOCUMENT, 5, 0): 1500, (DOCUMENT, 5, 9): 2}


async def test_works_of_later_versions_and_epochs_are_left_out(index: Upkeep) -> None:
    now = 1_795_372_600_959_009
    for version, epoch in ((now - 1, 0), (now - 1, now - 1), (now - 1, now), (now, 0)):
        await index.upsert(SEVEN, _chunks(version, 1, epoch=epoch))
    assert await _works(index, before=now) == {
        (DOCUMENT, now - 1, 0): 1,
        (DOCUMENT, now - 1, now - 1): 1,
    }


async def test_other_cabinets_are_found_one_by_one(index: Upkeep) -> None:
    assert await index.other_cabinet(()) is None
    await index.upsert(SEVEN, _chunks(5, 2))
    await index.upsert(EIGHT, _chunks(5, 2))
    first = await index.other_cabinet(())
    assert first in {7, 8}
    assert {first, await index.other_cabinet({CabinetId(first or 0)})} == {7, 8}
    assert await index.other_cabinet({CabinetId(7), CabinetId(8)}) is None


async def _deleted(index: Upkeep, version: int) -> Manifest:
    decision = Decision(
        document_id=DOCUMENT,
        external_id="a",
        version=Version(version),
        epoch=Epoch(0),
        outcome=Outcome.DELETED,
        task_id=_TASK,
        decided_at=datetime.now(UTC),
        published=None,
    )
    stands = await index.decide(SEVEN, decision)
    assert stands is not None
    return stands


async def test_a_tombstone_is_forgotten(index: Upkeep) -> None:
    await index.forget(SEVEN, await _deleted(index, 5))
    assert await index.manifest(SEVEN, DOCUMENT) is None


@pytest.mark.parametrize("since", ["decided", "begun", "foreign"])
async def test_a_tombstone_that_something_befell_since_stays(index: Upkeep, since: str) -> None:
    seen = await _deleted(index, 5)
    cabinet = SEVEN
    match since:
        case "decided":
            await _deleted(index, 6)
        case "begun":
            work = (Version(6), Epoch(0))
            await index.begin(SEVEN, DOCUMENT, "a", work, seen=seen)
        case _:
            cabinet, seen = EIGHT, replace(seen, cabinet_id=CabinetId(8))
    await index.forget(cabinet, seen)
    assert await index.manifest(SEVEN, DOCUMENT) is not None


@pytest.mark.integration
async def test_a_model_is_known_by_its_index(facade: QdrantFacade) -> None:
    settings = QdrantSettings(url=facade.url, collection="found")
    with pytest.raises(UnavailableError, match="MODEL_NAME"):
        await discover(settings, MODEL.name)
    index = Upkeep.open(settings, MODEL)
    await index.ensure()
    await index.close()
    assert await discover(settings, MODEL.name) == MODEL
    with pytest.raises(UnavailableError):
        await discover(settings, "some/mode")
