"""Documents, one and many."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from reading_world import World, reading_world

from kartoteka_contracts.tasks import TaskStatus
from kartoteka_index import Outcome
from kartoteka_testkit.builders import status_changed, submitted
from kartoteka_testkit.index_cases import Case, cabinet


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with reading_world(tmp_path) as served:
        yield served


async def test_a_document_is_accepted_then_indexed_and_stays_so_while_a_newer_one_is_made(
    world: World,
) -> None:
    first = submitted(cabinet=7, external_id="a.txt", version=1000)
    path = f"/rag/documents/{first.document_id}"
    world.log.pending.append(("documents.interactive", first))
    seen = (await world.get(path)).json()
    assert (seen["state"], seen["version"], seen["published"]) == ("accepted", 1000, None)
    assert seen["open_task"]["task_id"] == first.task_id

    case = Case(world.index, cabinet(7))
    await case.publish(1000)
    await world.apply("task.status", status_changed(first, TaskStatus.SUCCEEDED))
    seen = (await world.get(path, "seven")).json()
    assert (seen["state"], seen["published"]["chunks"], seen["open_task"]) == ("indexed", 3, None)

    second = submitted(cabinet=7, external_id="a.txt", version=2000)
    await world.apply("documents.interactive", second)
    seen = (await world.get(path, "seven")).json()
    assert (seen["state"], seen["version"]) == ("indexed", 2000)
    assert seen["published"]["version"] == 1000
    assert seen["open_task"]["version"] == 2000


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.EMPTY, "empty"),
        (Outcome.FAILED, "failed"),
        (Outcome.DELETED, "deleted"),
    ],
)
async def test_a_documents_state_follows_the_decision(
    world: World, outcome: Outcome, state: str
) -> None:
    case = Case(world.index, cabinet(7))
    await world.index.decide(cabinet(7), case.decision(1000, outcome=outcome))
    seen = (await world.get(f"/rag/documents/{case.document_id}", "seven")).json()
    assert seen["state"] == state
    assert (seen["error"] is not None) is (state == "failed")
    again = submitted(cabinet=7, external_id="a.txt", version=2000)
    await world.apply("documents.interactive", again)
    seen = (await world.get(f"/rag/documents/{case.document_id}", "seven")).json()
    assert seen["state"] == "accepted"


async def test_documents_are_listed_page_by_page_decided_and_waiting_alike(world: World) -> None:
    names = [f"d{n}" for n in range(12)]
    cases = [Case(world.index, cabinet(7), name) for name in names[:7]]
    for n, case in enumerate(cases):
        outcome = Outcome.FAILED if n % 3 == 0 else Outcome.EMPTY
        await world.index.decide(cabinet(7), case.decision(1000, outcome=outcome))
    await Case(world.index, cabinet(8), "foreign").publish(1000)
    # d5 and d6 are being made anew, d7 to d11 were never decided.
    waiting = [submitted(cabinet=7, external_id=name, version=2000) for name in names[5:]]
    await world.apply("documents.interactive", *waiting, submitted(cabinet=8))

    async def listed(**query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            answer = await world.get("/rag/cabinets/7/documents", "seven", limit=3, **query)
            page = answer.json()
            found += page["documents"]
            if page["next_cursor"] is None:
                return found
            query["cursor"] = page["next_cursor"]

    everything = await listed()
    ids = [document["document_id"] for document in everything]
    assert ids == sorted(set(ids))
    assert {document["external_id"] for document in everything} == set(names)
    accepted = await listed(state="accepted")
    assert {document["external_id"] for document in accepted} == set(names[5:])
    failed = await listed(state="failed")
    assert {document["external_id"] for document in failed} == {"d0", "d3"}
    assert await listed(state="indexed") == []


async def test_a_foreign_cabinet_lists_nothing(world: World) -> None:
    assert (await world.get("/rag/cabinets/8/documents", "seven")).status_code == 403
    assert (await world.get("/rag/cabinets/x/documents", "seven")).status_code == 422
    for wrong in ({"cursor": "zzz"}, {"status": "failed"}):
        bad = await world.get("/rag/cabinets/7/documents", "seven", **wrong)
        assert bad.status_code == 422, wrong
