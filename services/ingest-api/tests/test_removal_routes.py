"""``DELETE`` of a document, a cabinet and a task."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from reading_world import UNKNOWN, World, reading_world

from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
)
from kartoteka_contracts.ids import Version
from kartoteka_contracts.keys import (
    cabinet_deletion_key,
    cancel_key,
    record_key,
    record_version,
    records_prefix,
)
from kartoteka_contracts.records import DeletionRecord, encode_record, read_record
from kartoteka_contracts.tasks import TaskStatus
from kartoteka_index import Outcome
from kartoteka_testkit.builders import (
    EPOCH,
    cabinet_deletion,
    deletion,
    deletion_ended,
    record,
    status_changed,
    submitted,
)
from kartoteka_testkit.index_cases import Case, cabinet

JOBS = "documents.interactive"
NOW = int(EPOCH.timestamp() * 1_000_000)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with reading_world(tmp_path) as served:
        yield served


async def stored(world: World, version: int = 1000, **fields: Any) -> DocumentSubmitted:
    """An upload: its record in object storage, its event in the view."""
    kept = record(external_id="a.txt", version=version, **fields)
    key = record_key(kept.cabinet_id, kept.document_id, kept.version)
    await world.objects.create(key, encode_record(kept))
    event = DocumentSubmitted.of(kept)
    await world.apply(JOBS, event)
    return event


async def records(world: World, cabinet_id: int = 7) -> dict[int, Any]:
    """Every record of a cabinet that is readable, by version."""
    found = {}
    for key in await world.objects.keys(records_prefix(cabinet(cabinet_id).cabinet_id)):
        version = record_version(key)
        if version is not None:
            found[int(version)] = read_record(await world.objects.read(key))
    return found


def without_instance(answer: Any) -> dict[str, Any]:
    body = dict(answer.json())
    del body["instance"]
    return body


async def test_a_delete_is_a_record_and_an_event_before_it_is_answered(world: World) -> None:
    event = await stored(world)
    world.client.headers["traceparent"] = TRACE
    answer = await world.delete(f"/rag/documents/{event.document_id}", "delete")
    assert answer.status_code == 202
    told = answer.json()
    assert told == {
        "status": "queued",
        "task_id": told["task_id"],
        "document_id": event.document_id,
        "version": NOW,
        "replaces": 1000,
    }
    assert answer.headers["location"] == f"/rag/task/{told['task_id']}"
    kept = (await records(world))[NOW]
    assert isinstance(kept, DeletionRecord)
    assert (kept.task_id, kept.external_id) == (told["task_id"], "a.txt")
    [sent] = world.events.on(JOBS)
    assert sent.event == DocumentDeletionRequested.of(kept)
    assert sent.key == event.key
    assert Envelope.from_headers(sent.headers).traceparent == TRACE


async def test_a_delete_stands_above_a_version_of_a_clock_that_is_ahead(world: World) -> None:
    event = await stored(world, NOW + 5_000_000)
    answer = await world.delete(f"/rag/documents/{event.document_id}")
    assert answer.json()["version"] == NOW + 5_000_001


async def test_a_document_that_only_the_index_knows_can_be_deleted(world: World) -> None:
    case = Case(world.index, cabinet(7))
    await case.publish(1000)
    answer = await world.delete(f"/rag/documents/{case.document_id}", "delete")
    assert answer.status_code == 202
    assert answer.json()["replaces"] is None


async def test_a_document_whose_cabinet_is_named_is_deleted_without_index_and_view(
    world: World,
) -> None:
    event = await stored(world)
    await world.catalogue.wipe("another log")
    world.log.is_behind = True
    world.index.is_away = True
    path = f"/rag/documents/{event.document_id}"
    assert (await world.delete(path)).status_code == 503
    answer = await world.delete(path, "delete", cabinet_id=7)
    assert (answer.status_code, answer.json()["replaces"]) == (202, 1000)
    assert len(world.events.on(JOBS)) == 1


async def test_deleting_twice_is_two_tasks(world: World) -> None:
    event = await stored(world)
    path = f"/rag/documents/{event.document_id}"
    first = (await world.delete(path)).json()
    await world.apply(JOBS, *(sent.event for sent in world.events.on(JOBS)))
    second = (await world.delete(path)).json()
    assert second["task_id"] != first["task_id"]
    assert second["replaces"] == first["version"] == second["version"] - 1
    case = Case(world.index, cabinet(7))
    await world.index.decide(cabinet(7), case.decision(second["version"], outcome=Outcome.DELETED))
    third = await world.delete(path)
    assert third.status_code == 202, "a document that is deleted already"
    by_name = await world.delete(path, cabinet_id=7)
    assert by_name.status_code == 202


@pytest.mark.parametrize("query", [{}, {"cabinet_id": 7}], ids=["unnamed", "named"])
async def test_while_kafka_is_away_nothing_is_asked_of_anybody(
    world: World, query: dict[str, Any]
) -> None:
    event = await stored(world)
    world.events.trouble = "gone"
    for path in (f"/rag/documents/{event.document_id}", f"/rag/task/{event.task_id}"):
        answer = await world.delete(path, **(query if "documents" in path else {}))
        assert (answer.status_code, answer.json()["code"]) == (503, "event_log_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    answer = await world.delete("/rag/cabinets/7", confirm=7)
    assert answer.status_code == 503
    assert len(await world.objects.keys("cabinets/")) == 1, "only what was there"


async def test_without_an_acknowledgement_a_delete_is_not_promised_but_not_lost_either(
    world: World,
) -> None:
    event = await stored(world)
    world.events.silent = True
    assert (await world.delete(f"/rag/documents/{event.document_id}")).status_code == 503
    assert (await world.delete("/rag/cabinets/7", confirm=7)).status_code == 503
    assert (await world.delete(f"/rag/task/{event.task_id}")).status_code == 503
    kept = await world.objects.keys("cabinets/7/")
    assert record_key(event.cabinet_id, event.document_id, Version(NOW)) in kept
    assert cabinet_deletion_key(event.cabinet_id, Version(NOW + 1)) in kept
    assert cancel_key(event.cabinet_id, event.document_id, event.version, event.task_id) in kept


async def test_a_cabinets_delete_is_kept_and_stands_above_all_that_was_asked(world: World) -> None:
    await stored(world, NOW + 7)
    answer = await world.delete("/rag/cabinets/7", "delete", confirm=7)
    assert answer.status_code == 202
    told = answer.json()
    assert told == {
        "status": "queued",
        "task_id": told["task_id"],
        "cabinet_id": 7,
        "version": NOW + 8,
    }
    [sent] = world.events.on(JOBS)
    assert isinstance(sent.event, CabinetDeletionRequested)
    assert (sent.key, sent.event.version, sent.event.task_id) == ("7/*", NOW + 8, told["task_id"])
    key = cabinet_deletion_key(cabinet(7).cabinet_id, Version(NOW + 8))
    assert await world.objects.read(key) == sent.value
    again = (await world.delete("/rag/cabinets/7", confirm=7)).json()
    assert (again["version"], again["task_id"] != told["task_id"]) == (NOW + 9, True)


@pytest.mark.parametrize("query", [{}, {"confirm": "8"}, {"confirm": "yes"}, {"confirm": "07"}])
async def test_a_cabinet_is_not_deleted_by_a_slip(world: World, query: dict[str, Any]) -> None:
    answer = await world.delete("/rag/cabinets/7", "delete", **query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "?confirm=7" in answer.json()["detail"]
    assert world.events.appended == []


async def test_a_cancellation_is_a_mark_and_an_event_before_it_is_answered(world: World) -> None:
    event = await stored(world)
    answer = await world.delete(f"/rag/task/{event.task_id.upper()}", "all")
    assert answer.status_code == 202
    assert answer.json() == {"status": "cancelling", "task_id": event.task_id}
    [sent] = world.events.on(JOBS)
    assert isinstance(sent.event, TaskCancellationRequested)
    assert sent.key == event.key
    shared = set(TaskCancellationRequested.model_fields) - {"type", "requested_at"}
    assert all(getattr(sent.event, name) == getattr(event, name) for name in shared)
    mark = cancel_key(event.cabinet_id, event.document_id, event.version, event.task_id)
    assert await world.objects.read(mark) == sent.value
    assert (await world.delete(f"/rag/task/{event.task_id}")).status_code == 202, "again"
    assert record_version(mark) is None, "a mark is no record"


@pytest.mark.parametrize("topic", ["documents.bulk", "task.status"])
async def test_a_task_that_waits_in_bulk_or_for_a_retry_can_be_cancelled(
    world: World, topic: str
) -> None:
    event = submitted()
    is_retry = topic == "task.status"
    seen = status_changed(event, TaskStatus.RETRYING, attempt=1) if is_retry else event
    await world.apply(topic, seen)
    assert (await world.delete(f"/rag/task/{event.task_id}")).status_code == 202
    [sent] = world.events.on(JOBS)
    assert sent.key == event.key


async def test_a_cancellation_changes_no_task_by_itself(world: World) -> None:
    event = await stored(world)
    await world.delete(f"/rag/task/{event.task_id}")
    before = (await world.get(f"/rag/task/{event.task_id}")).json()
    await world.apply(JOBS, world.events.on(JOBS)[0].event)
    assert (await world.get(f"/rag/task/{event.task_id}")).json() == before
    await world.apply("task.status", status_changed(event, TaskStatus.CANCELLED))
    ended = (await world.get(f"/rag/task/{event.task_id}")).json()
    assert ended["status"] == "cancelled"
    await world.apply("task.status", status_changed(event, TaskStatus.SUCCEEDED))
    assert (await world.get(f"/rag/task/{event.task_id}")).json() == ended


@pytest.mark.parametrize("status", [one for one in TaskStatus if one.is_end])
async def test_an_ended_task_is_not_cancelled(world: World, status: TaskStatus) -> None:
    event = await stored(world)
    await world.apply("task.status", status_changed(event, status))
    answer = await world.delete(f"/rag/task/{event.task_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "task_ended")
    assert world.events.appended == []


async def test_a_delete_is_not_cancelled(world: World) -> None:
    events = (deletion(), cabinet_deletion())
    await world.apply(JOBS, *events)
    for event in events:
        answer = await world.delete(f"/rag/task/{event.task_id}")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_cancellable")
    assert world.events.appended == []


async def test_a_task_that_is_decided_but_not_yet_told_of_is_not_cancelled(world: World) -> None:
    event = await stored(world)
    other = await stored(world, 2000)
    case = Case(world.index, cabinet(7))
    await world.index.decide(cabinet(7), case.decision(1000, task_id=event.task_id))
    answer = await world.delete(f"/rag/task/{event.task_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "task_ended")
    assert (await world.delete(f"/rag/task/{other.task_id}")).status_code == 202
    world.index.is_away = True
    assert (await world.delete(f"/rag/task/{event.task_id}")).status_code == 202


@pytest.mark.parametrize("path", ["/rag/documents/{}", "/rag/task/{}"])
async def test_a_foreign_id_is_removed_exactly_as_an_unknown_one(world: World, path: str) -> None:
    event = await stored(world)
    await Case(world.index, cabinet(7)).publish(1000)
    foreign_id = event.document_id if "documents" in path else event.task_id
    before = await world.objects.keys("cabinets/")
    foreign = await world.delete(path.format(foreign_id), "eight")
    asked = world.log.asked
    unknown = await world.delete(path.format(UNKNOWN), "eight")
    strange = await world.delete(path.format("no-id"), "eight")
    assert asked == 1, "a foreign id takes the way of an unknown one"
    assert {foreign.status_code, unknown.status_code, strange.status_code} == {404}
    assert without_instance(foreign) == without_instance(unknown) == without_instance(strange)
    assert world.events.appended == []
    assert await world.objects.keys("cabinets/") == before
    assert (await world.delete(path.format(foreign_id), "seven")).status_code == 202


async def test_naming_a_cabinet_opens_no_door(world: World) -> None:
    event = await stored(world)
    path = f"/rag/documents/{event.document_id}"
    refused = await world.delete(path, "eight", cabinet_id=7)
    unknown = await world.delete(f"/rag/documents/{UNKNOWN}", "eight", cabinet_id=7)
    assert refused.status_code == 403
    assert without_instance(refused) == without_instance(unknown)
    elsewhere = await world.delete(path, "eight", cabinet_id=8)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "not_found")
    unknown = await world.delete(f"/rag/documents/{UNKNOWN}", "seven", cabinet_id=7)
    assert without_instance(unknown) == without_instance(elsewhere)
    assert world.events.appended == []


async def test_a_foreign_cabinet_is_refused_whether_it_exists_or_not(world: World) -> None:
    await stored(world)
    foreign = without_instance(await world.delete("/rag/cabinets/7", "eight", confirm=7))
    unknown = without_instance(await world.delete("/rag/cabinets/9", "eight", confirm=9))
    assert foreign["status"] == unknown["status"] == 403
    foreign["detail"] = foreign["detail"].replace("7", "N")
    unknown["detail"] = unknown["detail"].replace("9", "N")
    assert foreign == unknown
    assert world.events.appended == []


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/rag/documents/{document}", {"delete"}),
        ("/rag/documents/{document}?cabinet_id=7", {"delete"}),
        ("/rag/cabinets/7?confirm=7", {"delete"}),
        ("/rag/task/{task}", {"delete", "ingest"}),
    ],
)
async def test_removing_takes_a_key_with_the_scope(
    world: World, path: str, allowed: set[str]
) -> None:
    event = await stored(world)
    target = path.format(document=event.document_id, task=event.task_id)

    async def asked(key: str) -> int:
        answer = await world.client.delete(target, headers={"X-API-Key": key})
        return answer.status_code

    assert await asked("wrong") == 401
    for key in ("read", "ingest", "delete"):
        assert await asked(key) == (202 if key in allowed else 403), key


@pytest.mark.parametrize(
    "path",
    [
        "/rag/documents/{document}?cabinet=7",
        "/rag/documents/{document}?cabinet_id=seven",
        "/rag/cabinets/7?confirm=7&force=1",
        "/rag/cabinets/x?confirm=x",
        "/rag/task/{task}?force=1",
    ],
)
async def test_what_is_misspelt_removes_nothing(world: World, path: str) -> None:
    event = await stored(world)
    target = path.format(document=event.document_id, task=event.task_id)
    answer = await world.client.delete(target, headers={"X-API-Key": "all"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert world.events.appended == []


async def test_deletes_are_seen_as_tasks_from_queued_to_their_counts(world: World) -> None:
    event = await stored(world)
    accepted = (await world.delete(f"/rag/documents/{event.document_id}")).json()
    whole = (await world.delete("/rag/cabinets/7", confirm=7)).json()
    await world.apply(JOBS, *(sent.event for sent in world.events.on(JOBS)))
    seen = (await world.get(f"/rag/task/{accepted['task_id']}", "seven")).json()
    assert (seen["kind"], seen["status"], seen["filename"]) == ("delete", "queued", None)
    assert (seen["document_id"], seen["version"]) == (event.document_id, accepted["version"])
    seen = (await world.get(f"/rag/task/{whole['task_id']}", "seven")).json()
    assert (seen["kind"], seen["status"], seen["document_id"]) == ("delete", "queued", None)
    counts = {"documents": 1, "chunks": 12, "bodies": 2}
    sent = world.events.on(JOBS)[0].event
    assert isinstance(sent, DocumentDeletionRequested)
    await world.apply("task.status", deletion_ended(sent))
    seen = (await world.get(f"/rag/task/{accepted['task_id']}")).json()
    assert (seen["status"], seen["result"]["deleted"]) == ("succeeded", counts)
    listed = (await world.get("/rag/tasks", cabinet=7)).json()["tasks"]
    assert {task["task_id"] for task in listed} == {accepted["task_id"], whole["task_id"]}
    assert (await world.get(f"/rag/task/{event.task_id}")).status_code == 404
