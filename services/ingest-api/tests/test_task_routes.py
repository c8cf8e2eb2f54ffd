"""``GET /rag/task/…``, its events, and ``GET /rag/tasks``."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from reading_world import UNKNOWN, World, reading_world

from kartoteka_contracts.ids import new_task_id
from kartoteka_contracts.tasks import Stage, TaskStatus
from kartoteka_testkit.builders import EPOCH, progressed, status_changed, submitted
from kartoteka_testkit.index_cases import Case, cabinet


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with reading_world(tmp_path) as served:
        yield served


async def test_a_task_answers_with_everything_that_is_known_of_it(world: World) -> None:
    event = submitted(cabinet=7)
    await world.apply("documents.interactive", event)
    await world.apply("task.progress", progressed(event, Stage.EMBEDDING))
    answer = await world.get(f"/rag/task/{event.task_id}", "seven")
    assert answer.status_code == 200
    assert answer.json() == {
        "task_id": event.task_id,
        "kind": "index",
        "status": "running",
        "stage": "embedding",
        "progress": 0.5,
        "attempt": 0,
        "cabinet_id": 7,
        "document_id": event.document_id,
        "external_id": "report.pdf",
        "version": 1000,
        "filename": "report.pdf",
        "accepted_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "next_attempt_at": None,
        "result": None,
        "error": None,
        "replay_of": None,
    }


async def test_a_replay_says_whose_it_is_also_after_its_end(world: World) -> None:
    old = submitted()
    new = old.model_copy(update={"task_id": new_task_id(), "replay_of": old.task_id, "replays": 1})
    await world.apply("documents.bulk", new)
    await world.apply("task.status", status_changed(new, TaskStatus.SUCCEEDED))
    answer = (await world.get(f"/rag/task/{new.task_id}")).json()
    assert (answer["status"], answer["replay_of"]) == ("succeeded", old.task_id)


async def test_a_failed_task_says_why(world: World) -> None:
    event = submitted()
    error = {"code": "encrypted", "message": "It has a password.", "retriable": False}
    await world.apply("task.status", status_changed(event, TaskStatus.FAILED, error=error))
    answer = (await world.get(f"/rag/task/{event.task_id}")).json()
    assert (answer["status"], answer["error"]) == ("failed", error)


async def test_a_task_acknowledged_a_moment_ago_is_waited_for(world: World) -> None:
    event = submitted()
    world.log.pending.append(("documents.interactive", event))
    answer = await world.get(f"/rag/task/{event.task_id.upper()}")
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert world.misses == ["found"]


async def test_a_task_of_which_only_progress_came_is_waited_for(world: World) -> None:
    event = submitted()
    await world.apply("task.progress", progressed(event, Stage.PARSING))
    world.log.pending.append(("documents.interactive", event))
    answer = (await world.get(f"/rag/task/{event.task_id}")).json()
    assert (answer["kind"], answer["status"]) == ("index", "running")


async def test_whether_a_task_exists_is_not_guessed_while_the_view_is_behind(
    world: World,
) -> None:
    world.log.is_behind = True
    answer = await world.get(f"/rag/task/{UNKNOWN}")
    assert (answer.status_code, answer.json()["code"]) == (503, "view_behind")
    assert int(answer.headers["Retry-After"]) >= 1
    assert world.misses == ["behind"]


@pytest.mark.parametrize("path", ["/rag/task/{}", "/rag/task/{}/events", "/rag/documents/{}"])
async def test_a_foreign_id_answers_exactly_as_an_unknown_one(world: World, path: str) -> None:
    event = submitted(cabinet=7, external_id="a.txt")
    await world.apply("documents.interactive", event)
    await Case(world.index, cabinet(7)).publish(1000)
    foreign_id = event.document_id if "documents" in path else event.task_id
    foreign = await world.get(path.format(foreign_id), "eight")
    asked = world.log.asked
    unknown = await world.get(path.format(UNKNOWN), "eight")
    strange = await world.get(path.format("no-id"), "eight")
    assert asked == 1, "a foreign id takes the way of an unknown one"
    assert {foreign.status_code, unknown.status_code, strange.status_code} == {404}
    bodies = [dict(answer.json()) for answer in (foreign, unknown, strange)]
    for body in bodies:
        del body["instance"]
    assert bodies[0] == bodies[1] == bodies[2]
    own = await world.get(path.format(foreign_id), "seven") if "events" not in path else None
    assert own is None or own.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"/rag/task/{UNKNOWN}",
        f"/rag/task/{UNKNOWN}/events",
        "/rag/tasks",
        f"/rag/documents/{UNKNOWN}",
        "/rag/cabinets/7/documents",
    ],
)
async def test_reading_takes_a_key_with_the_scope(world: World, path: str) -> None:
    assert (await world.get(path, "wrong")).status_code == 401
    assert (await world.get(path, "ingest")).status_code == 403


async def test_tasks_are_listed_page_by_page_within_the_keys_cabinets(world: World) -> None:
    events = [
        submitted(external_id=str(n), cabinet=7 + n % 2, accepted_at=EPOCH + timedelta(seconds=n))
        for n in range(9)
    ]
    await world.apply("documents.interactive", *events)
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await world.get("/rag/tasks", "seven", **query)).json()
        found += [task["task_id"] for task in page["tasks"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == [event.task_id for event in reversed(events) if event.cabinet_id == 7]
    everything = (await world.get("/rag/tasks", "all")).json()
    assert len(everything["tasks"]) == 9
    await world.apply("task.status", status_changed(events[0], TaskStatus.SUCCEEDED))
    ended = (await world.get("/rag/tasks", "all", cabinet=7, status="succeeded")).json()
    assert [task["task_id"] for task in ended["tasks"]] == [events[0].task_id]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"cabinet": "8"}, 403),
        ({"cabinet": "0"}, 422),
        ({"cabinet": "seven"}, 422),
        ({"cursor": "1.2"}, 422),
        ({"cursor": "9" * 60}, 422),
        ({"limit": 0}, 422),
        ({"limit": 501}, 422),
        ({"status": "happy"}, 422),
        ({"cabinet_id": "7"}, 422),
    ],
    ids=str,
)
async def test_lists_refuse_what_they_cannot_answer(
    world: World, query: dict[str, Any], status: int
) -> None:
    assert (await world.get("/rag/tasks", "seven", **query)).status_code == status


def states(stream: str) -> list[str]:
    data = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
    return [json.loads(line)["status"] for line in data]


async def test_a_stream_begins_with_the_present_and_ends_with_the_end(world: World) -> None:
    event = submitted()
    await world.apply("documents.interactive", event)
    following = asyncio.create_task(world.get(f"/rag/task/{event.task_id}/events"))
    await asyncio.sleep(0.15)
    await world.apply("task.progress", progressed(event, Stage.PARSING))
    await asyncio.sleep(0.05)
    await world.apply("task.status", status_changed(event, TaskStatus.SUCCEEDED))
    answer = await following
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert states(answer.text) == ["queued", "running", "succeeded"]
    assert "\n:\n\n" in answer.text, "signs of life while nothing changes"


async def test_a_stream_of_an_ended_task_says_so_and_ends(world: World) -> None:
    event = submitted()
    await world.apply("task.status", status_changed(event, TaskStatus.EMPTY))
    answer = await world.get(f"/rag/task/{event.task_id}/events")
    assert states(answer.text) == ["empty"]


async def test_a_stream_never_shows_a_rebuild(world: World) -> None:
    event = submitted()
    await world.apply("task.progress", progressed(event, Stage.WRITING))
    await world.apply("documents.interactive", event)
    following = asyncio.create_task(world.get(f"/rag/task/{event.task_id}/events"))
    await asyncio.sleep(0.1)
    await world.catalogue.wipe("log-2")
    world.changes.tell_all()
    await world.apply("documents.interactive", event)
    await asyncio.sleep(0.1)
    await world.apply("task.status", status_changed(event, TaskStatus.SUCCEEDED))
    assert states((await following).text) == ["running", "succeeded"]


async def test_streams_are_bounded_in_number_and_time_and_end_at_a_stop(world: World) -> None:
    event = submitted()
    await world.apply("documents.interactive", event)
    path = f"/rag/task/{event.task_id}/events"
    streams = [asyncio.create_task(world.get(path)) for _ in range(3)]
    await asyncio.sleep(0.1)
    refused = await world.get(path)
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    world.changes.close()
    async with asyncio.timeout(1):
        answers = await asyncio.gather(*streams)
    assert [states(answer.text) for answer in answers] == [["queued"]] * 3
    stopping = await world.get(path)
    assert (stopping.status_code, stopping.json()["code"]) == (503, "shutting_down")


async def test_a_stream_ends_when_its_time_is_up(world: World) -> None:
    event = submitted()
    await world.apply("documents.interactive", event)
    async with asyncio.timeout(5):
        answer = await world.get(f"/rag/task/{event.task_id}/events")
    assert states(answer.text) == ["queued"]


async def test_an_unused_task_id_is_no_end_of_a_stream(world: World) -> None:
    answer = await world.get(f"/rag/task/{new_task_id()}/events")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
