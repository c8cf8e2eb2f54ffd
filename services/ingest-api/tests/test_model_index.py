import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_api.adapters.model_index import ModelIndex
from ingest_api.adapters.next_round import NextRound
from ingest_api.adapters.shared_attempt import SharedAttempt
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId
from kartoteka_index import Index, ModelIdentity, QdrantSettings
from kartoteka_testkit.index_cases import MODEL, Case, asking, cabinet
from kartoteka_testkit.ports import free_ports
from kartoteka_testkit.qdrant_facade import QdrantFacade, qdrant_facade


@pytest.fixture
def facade(tmp_path: Path) -> Iterator[QdrantFacade]:
    with qdrant_facade(tmp_path) as running:
        yield running


async def _test_model() -> ModelIdentity:
    return MODEL


@pytest.mark.integration
async def test_searches_go_to_the_index_of_the_model_that_is_served(facade: QdrantFacade) -> None:
    settings = QdrantSettings(url=facade.url)
    served = [MODEL]

    async def model() -> ModelIdentity:
        return served[0]

    index = ModelIndex(settings, model)
    try:
        assert await index.search(cabinet(7), asking(0)) == []
        writer = Index.open(settings, MODEL)
        case = Case(writer, cabinet(7))
        await case.publish(1000)
        await writer.close()
        hits = await index.search(cabinet(7), asking(0, top_k=1))
        assert [hit.text for hit in hits] == ["a.txt 1000.0 #0"]
        manifest = await index.locate(case.document_id, lambda _: cabinet(7))
        assert manifest is not None
        assert manifest.fence == 1000
        assert await index.locate(case.document_id, lambda _: None) is None
        assert await index.locate(case.document_id, lambda _: cabinet(8)) is None
        served[0] = ModelIdentity(name="test/another", dimension=8)
        assert await index.search(cabinet(7), asking(0)) == []
    finally:
        await index.close()


async def test_an_index_that_is_away_is_told_and_found_again() -> None:
    (nobody,) = free_ports(1)
    index = ModelIndex(QdrantSettings(url=f"http://127.0.0.1:{nobody}"), _test_model)
    try:
        for _ in range(2):
            with pytest.raises(UnavailableError) as refused:
                await index.documents(cabinet(CabinetId(7)))
            assert refused.value.code == "index_unavailable"
    finally:
        await index.close()


class Desk:
    """Answers with the number of the request, once it may."""

    def __init__(self) -> None:
        self.begun = 0
        self.open = asyncio.Event()

    async def ask(self) -> int:
        self.begun += 1
        number = self.begun
        await self.open.wait()
        return number


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_waiting_callers_share_one_attempt() -> None:
    desk = Desk()
    shared = SharedAttempt(desk.ask)
    callers = [asyncio.create_task(shared.outcome()) for _ in range(20)]
    await _settle()
    callers[0].cancel()
    desk.open.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert answers[1:] == [1] * 19
    assert await shared.outcome() == 2


async def test_nobody_is_answered_by_a_request_begun_before_the_question() -> None:
    desk = Desk()
    rounds = NextRound(desk.ask)
    early = asyncio.create_task(rounds.ask())
    await _settle()
    late = [asyncio.create_task(rounds.ask()) for _ in range(20)]
    await _settle()
    assert desk.begun == 1
    desk.open.set()
    assert await early == 1
    assert await asyncio.gather(*late) == [2] * 20
    assert desk.begun == 2


async def test_a_closed_desk_answers_with_a_timeout_not_a_cancellation() -> None:
    rounds = NextRound(Desk().ask)
    caller = asyncio.create_task(rounds.ask())
    await _settle()
    await rounds.close()
    with pytest.raises(TimeoutError):
        await caller


async def test_a_caller_that_gives_up_leaves_the_others_their_answer() -> None:
    desk = Desk()
    rounds = NextRound(desk.ask)
    one, other = (asyncio.create_task(rounds.ask()) for _ in range(2))
    await _settle()
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    desk.open.set()
    assert await other == 1
