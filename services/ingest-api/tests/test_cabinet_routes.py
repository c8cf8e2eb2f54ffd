"""``GET`` and ``PUT /rag/cabinets/{id}``, and ``GET /rag/cabinets``."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from reading_world import World, reading_world
from run_records import COUNTS, cabinet_seen, configured, requested, run_ended, run_progressed

from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings
from kartoteka_contracts.codec import decode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.ids import CabinetId, Version
from kartoteka_contracts.keys import cabinet_settings_key, cabinet_settings_prefix
from kartoteka_contracts.reindex import RunError, RunResult
from kartoteka_contracts.schedule import Schedule, spread
from kartoteka_contracts.tasks import TaskStatus
from kartoteka_testkit.builders import EPOCH

CABINETS, RUNS = "cabinets", "cabinets.reindex"
NOW = int(EPOCH.timestamp() * 1_000_000)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SOURCE = {"name": "archive", "url": "s3://company-documents/shared/contracts"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with reading_world(tmp_path) as served:
        yield served


async def stored(world: World, cabinet: int = 7) -> list[CabinetConfigured]:
    """All settings that a cabinet had, oldest first."""
    found = []
    for key in await world.objects.keys(cabinet_settings_prefix(CabinetId(cabinet))):
        event = decode(await world.objects.read(key))
        assert isinstance(event, CabinetConfigured)
        assert key == cabinet_settings_key(event.cabinet_id, event.version)
        found.append(event)
    return found


def next_run(cron: str = "0 */6 * * *", zone: str = "UTC") -> str:
    """When cabinet 7, which began now, runs next."""
    slot = Schedule(cron=cron, time_zone=zone).next_slot(EPOCH - timedelta(microseconds=1))
    return (slot + spread(CabinetId(7))).isoformat().replace("+00:00", "Z")


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def test_a_cabinet_begins_with_its_first_upload_and_the_defaults(world: World) -> None:
    world.log.pending.append((CABINETS, cabinet_seen()))
    answer = await world.get("/rag/cabinets/7", "read")
    assert answer.status_code == 200
    assert answer.json() == {
        "cabinet_id": 7,
        "name": None,
        "enabled": True,
        "schedule": {"cron": "0 */6 * * *", "time_zone": "UTC"},
        "sources": [],
        "version": None,
        "created_at": "2026-01-02T03:04:05Z",
        "next_run_at": next_run(),
        "last_run": None,
        "open_run": None,
    }


async def test_settings_are_kept_before_they_are_told_and_then_shown(world: World) -> None:
    world.client.headers["traceparent"] = TRACE
    body = {
        "name": "Contracts",
        "schedule": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"},
        "sources": [SOURCE],
    }
    answer = await world.put("/rag/cabinets/7", body, "admin")
    assert answer.status_code == 200
    shown = answer.json()
    assert shown == {
        "cabinet_id": 7,
        "name": "Contracts",
        "enabled": True,
        "schedule": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"},
        "sources": [{**SOURCE, "include": ["**"], "exclude": [], "credentials": None}],
        "version": NOW,
        "created_at": "2026-01-02T03:04:05Z",
        "next_run_at": next_run("30 2 * * *", "Europe/Berlin"),
        "last_run": None,
        "open_run": None,
    }
    [kept] = await stored(world)
    [sent] = world.events.on(CABINETS)
    assert (sent.event, sent.key) == (kept, "7")
    envelope = Envelope.from_headers(sent.headers)
    assert envelope.traceparent == TRACE
    assert envelope.event_id
    world.log.pending.append((CABINETS, kept))
    assert (await world.get("/rag/cabinets/7")).json() == shown


async def test_settings_replace_all_that_were_there_and_keep_the_beginning(world: World) -> None:
    await world.put("/rag/cabinets/7", {"name": "one", "sources": [SOURCE]})
    world.clock.advance(60)
    shown = (await world.put("/rag/cabinets/7", {"enabled": False})).json()
    assert (shown["name"], shown["sources"], shown["next_run_at"]) == (None, [], None)
    assert (shown["created_at"], shown["version"]) == ("2026-01-02T03:04:05Z", NOW + 60_000_000)
    first, second = await stored(world)
    assert second.created_at == first.created_at
    assert second.at == EPOCH + timedelta(seconds=60)


async def test_settings_stand_above_those_of_a_clock_that_is_ahead(world: World) -> None:
    ahead = configured(NOW + 5_000_000)
    await world.objects.create(
        cabinet_settings_key(ahead.cabinet_id, ahead.version), ahead.model_dump_json().encode()
    )
    answer = await world.put("/rag/cabinets/7", {"name": "new"})
    assert answer.json()["version"] == NOW + 5_000_001


async def test_settings_that_nobody_can_read_are_replaced_too(world: World) -> None:
    key = cabinet_settings_key(CabinetId(7), Version(NOW + 5))
    await world.objects.create(key, b'{"type":"cabinet_configured","schema_version":99}')
    answer = await world.put("/rag/cabinets/7", {"name": "new"})
    assert answer.json()["version"] == NOW + 6


async def test_the_cabinet_of_an_upload_keeps_its_beginning_when_it_is_configured(
    world: World,
) -> None:
    await world.apply(CABINETS, cabinet_seen(second=-3600))
    shown = (await world.put("/rag/cabinets/7", {})).json()
    assert shown["created_at"] == "2026-01-02T02:04:05Z"


async def test_while_kafka_is_away_nothing_is_told_and_a_repeat_completes_it(world: World) -> None:
    world.events.trouble = "no broker"
    assert code(await world.put("/rag/cabinets/7", {"name": "n"})) == (503, "event_log_unavailable")
    assert await stored(world) == []
    world.events.trouble, world.events.silent = None, True
    assert code(await world.put("/rag/cabinets/7", {"name": "n"})) == (503, "event_log_unavailable")
    [kept] = await stored(world)
    assert world.events.on(CABINETS) == []
    world.events.silent = False
    world.clock.advance(5)
    answer = await world.put("/rag/cabinets/7", {"name": "n"})
    assert (answer.status_code, answer.json()["version"]) == (200, NOW)
    assert await stored(world) == [kept]
    assert [sent.event for sent in world.events.on(CABINETS)] == [kept]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        pytest.param({"schedul": {}}, "schedul", id="an unknown field"),
        pytest.param({"schedule": {"corn": "0 0 * * *"}}, "schedule.corn", id="of the schedule"),
        pytest.param({"sources": [{**SOURCE, "uri": "x"}]}, "sources.0.uri", id="of a source"),
        pytest.param({"schedule": {"cron": "61 * * * *"}}, "schedule.cron", id="no cron"),
        pytest.param({"schedule": {"cron": "0 0 30 2 *"}}, "schedule.cron", id="never"),
        pytest.param({"schedule": {"cron": "0 0 * * * *"}}, "five fields", id="six fields"),
        pytest.param({"schedule": {"time_zone": "Mars"}}, "schedule.time_zone", id="no zone"),
        pytest.param({"sources": [SOURCE, SOURCE]}, "same name", id="two of one name"),
        pytest.param({"sources": [{"name": "A B", "url": "s3://b"}]}, "sources.0.name", id="name"),
        pytest.param({"sources": [{"name": "a"}]}, "sources.0.url", id="no URL"),
        pytest.param({"name": ""}, "name", id="no name"),
        pytest.param({"name": "\ud800"}, "name", id="half a character"),
        pytest.param({"enabled": None}, "enabled", id="null"),
        pytest.param(["x"], "body", id="a list"),
        pytest.param(
            {"sources": [{**SOURCE, "name": f"s{n}"} for n in range(51)]}, "sources", id="many"
        ),
    ],
)
async def test_settings_that_cannot_be_used_are_refused_by_field(
    world: World, body: Any, named: str
) -> None:
    answer = await world.put("/rag/cabinets/7", body)
    assert code(answer) == (422, "invalid_settings")
    assert named in answer.json()["detail"]
    assert await stored(world) == []
    assert world.events.appended == []


async def test_as_many_sources_as_there_may_be_are_taken(world: World) -> None:
    sources = [{**SOURCE, "name": f"s{n}"} for n in range(50)]
    assert (await world.put("/rag/cabinets/7", {"sources": sources})).status_code == 200


async def test_what_is_no_json_or_a_stray_parameter_is_an_invalid_request(world: World) -> None:
    headers = {"X-API-Key": "all", "Content-Type": "application/json"}
    answer = await world.client.put("/rag/cabinets/7", content=b"{", headers=headers)
    assert code(answer) == (422, "invalid_request")
    assert code(await world.put("/rag/cabinets/7?name=x", {})) == (422, "invalid_request")
    assert code(await world.put("/rag/cabinets/x", {})) == (422, "invalid_request")
    assert code(await world.get("/rag/cabinets", limit=0)) == (422, "invalid_request")
    assert code(await world.get("/rag/cabinets", cursor="x")) == (422, "invalid_request")
    assert code(await world.get("/rag/cabinets/7", full="1")) == (422, "invalid_request")


@pytest.mark.parametrize(
    "url",
    [
        "s3://company-documents/other",
        "s3://company-documents",
        "s3://company-documents/shared-not",
        "s3://company-documents/shared/../other",
        "file:///company-documents/shared",
        "http://169.254.169.254/latest",
    ],
)
async def test_a_source_outside_of_the_operators_list_is_refused(world: World, url: str) -> None:
    body = {"sources": [SOURCE, {"name": "second", "url": url}]}
    answer = await world.put("/rag/cabinets/7", body)
    assert code(answer) == (422, "source_not_allowed")
    assert "'second'" in answer.json()["detail"]
    assert await stored(world) == []


async def test_a_read_never_shows_less_than_was_acknowledged(world: World) -> None:
    await world.apply(CABINETS, configured(1000, name="old"))
    run = requested()
    world.log.pending += [(CABINETS, configured(2000, name="new")), (RUNS, run)]
    shown = (await world.get("/rag/cabinets/7")).json()
    assert (shown["name"], shown["version"], shown["open_run"]) == ("new", 2000, run.task_id)
    world.log.pending.append((CABINETS, configured(3000, name="newer")))
    [listed] = (await world.get("/rag/cabinets")).json()["cabinets"]
    assert listed["name"] == "newer"
    world.log.is_behind = True
    assert code(await world.get("/rag/cabinets/7")) == (503, "view_behind")
    assert code(await world.get("/rag/cabinets")) == (503, "view_behind")


async def test_a_cabinet_shows_its_last_run_and_the_one_under_way(world: World) -> None:
    ended, joining, waiting, working = (requested(second=n) for n in range(4))
    await world.apply(CABINETS, cabinet_seen())
    await world.apply(RUNS, ended, joining, waiting, working)
    secret = RunError(external_id="a.pdf", code="body_missing", message="no cabinets/7/bodies/x")
    result = RunResult(success=3, failed=1, total=4, counts=COUNTS, errors=[secret])
    await world.apply(
        "task.status",
        run_ended(ended, result={"run": result}),
        run_ended(joining, TaskStatus.SUPERSEDED, second=90, joined=ended.task_id),
    )
    await world.apply("task.progress", run_progressed(working))
    shown = (await world.get("/rag/cabinets/7")).json()
    assert shown["open_run"] == working.task_id
    last = shown["last_run"]
    assert set(last) == {"task_id", "status", "ended_at", "result"}
    assert (last["task_id"], last["status"]) == (ended.task_id, "succeeded")
    assert last["ended_at"] == "2026-01-02T03:05:05Z"
    assert (last["result"]["success"], last["result"]["total"]) == (3, 4)
    [error] = last["result"]["errors"]
    assert "bodies" not in error["message"]


async def test_lists_have_the_cabinets_of_the_key_and_pages(world: World) -> None:
    await world.apply(CABINETS, *(cabinet_seen(n) for n in (8, 1, 30)), configured())
    everything = (await world.get("/rag/cabinets")).json()
    assert [one["cabinet_id"] for one in everything["cabinets"]] == [1, 7, 8, 30]
    assert everything["next_cursor"] is None
    assert everything["cabinets"][1] == (await world.get("/rag/cabinets/7")).json()
    first = (await world.get("/rag/cabinets", limit=3)).json()
    assert [one["cabinet_id"] for one in first["cabinets"]] == [1, 7, 8]
    rest = (await world.get("/rag/cabinets", cursor=first["next_cursor"], limit=3)).json()
    assert [one["cabinet_id"] for one in rest["cabinets"]] == [30]
    assert rest["next_cursor"] is None
    world.keys.add("two", 8, 30)
    mine = (await world.get("/rag/cabinets", "two", limit=1)).json()
    assert [one["cabinet_id"] for one in mine["cabinets"]] == [8]
    mine = (await world.get("/rag/cabinets", "two", cursor=mine["next_cursor"])).json()
    assert [one["cabinet_id"] for one in mine["cabinets"]] == [30]
    world.keys.add("none", 999)
    empty = (await world.get("/rag/cabinets", "none")).json()
    assert empty == {"cabinets": [], "next_cursor": None}


async def test_a_foreign_cabinet_answers_as_an_unknown_one(world: World) -> None:
    await world.apply(CABINETS, cabinet_seen(8), configured(cabinet=8))
    before = world.log.asked
    foreign, unknown = [await world.get(f"/rag/cabinets/{n}", "seven") for n in (8, 9)]
    assert code(foreign) == code(unknown) == (404, "not_found")
    assert foreign.json()["detail"] == unknown.json()["detail"]
    assert world.log.asked == before + 2


@pytest.mark.parametrize("scope", ["ingest", "search", "read", "delete"])
async def test_settings_need_an_administrator_of_the_cabinet(world: World, scope: str) -> None:
    assert code(await world.put("/rag/cabinets/7", {}, scope)) == (403, "forbidden")
    known, unknown = [await world.put(f"/rag/cabinets/{n}", {}, "seven") for n in (8, 9)]
    assert code(known) == code(unknown) == (403, "forbidden")
    assert await stored(world, 8) == []


@pytest.mark.parametrize("path", ["/rag/cabinets", "/rag/cabinets/7"])
async def test_reading_needs_its_scope(world: World, path: str) -> None:
    assert code(await world.get(path, "admin")) == (403, "forbidden")
    assert code(await world.get(path, "nobody")) == (401, "unauthenticated")


async def test_a_delete_first_takes_what_would_bring_documents_back(world: World) -> None:
    await world.put("/rag/cabinets/7", {"name": "n", "sources": [SOURCE]})
    world.clock.advance(1)
    assert (await world.delete("/rag/cabinets/7", "delete", confirm=7)).status_code == 202
    _, retired = await stored(world)
    assert retired.settings == CabinetSettings(name="n", enabled=False)
    told = [one.event for one in world.events.appended[1:]]
    assert [event.type for event in told] == ["cabinet_configured", "cabinet_deletion_requested"]
    assert told[0] == retired
    world.log.pending += [(CABINETS, cabinet_seen()), (CABINETS, retired)]
    assert (await world.get("/rag/cabinets/7")).json()["next_run_at"] is None


async def test_a_delete_whose_settings_are_not_acknowledged_is_not_begun(world: World) -> None:
    await world.put("/rag/cabinets/7", {"sources": [SOURCE]})
    world.events.silent = True
    assert code(await world.delete("/rag/cabinets/7", confirm=7)) == (503, "event_log_unavailable")
    assert await world.objects.keys("cabinets/7/deletions/") == []
    world.events.silent = False
    assert (await world.delete("/rag/cabinets/7", confirm=7)).status_code == 202
    last = world.events.on(CABINETS)[-1].event
    assert last == (await stored(world))[-1]
    assert isinstance(last, CabinetConfigured)
    assert not last.settings.enabled


async def test_a_cabinet_that_was_never_configured_is_deleted_without_settings(
    world: World,
) -> None:
    assert (await world.delete("/rag/cabinets/7", confirm=7)).status_code == 202
    assert await stored(world) == []
    assert world.events.on(CABINETS) == []


async def test_the_docs_say_that_documents_outlive_their_source_in_the_settings(
    world: World,
) -> None:
    paths = (await world.get("/openapi.json", "read")).json()["paths"]
    said = " ".join(paths["/rag/cabinets/{cabinet_id}"]["put"]["description"].split())
    assert "no longer in the settings stay as they are" in said
    assert "confirm_vanished" in said
