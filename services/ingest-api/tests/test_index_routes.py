"""``POST /rag/index/{cabinet_id}``, its plan, and the task of a run."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from reading_world import World, reading_world
from run_records import COUNTS, cabinet_seen, configured, requested, run_ended, run_progressed

from ingest_api.domain.run_plan import PlanFault
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.events import IndexResult, TaskError
from kartoteka_contracts.ids import document_id, new_task_id
from kartoteka_contracts.reindex import (
    ReindexMode,
    ReindexRequested,
    ReindexTrigger,
    RunError,
    RunResult,
)
from kartoteka_contracts.tasks import TaskStatus
from kartoteka_testkit.builders import EPOCH, submitted

CABINETS, RUNS = "cabinets", "cabinets.reindex"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
A_DOCUMENT = document_id(7, "a.pdf")  # type: ignore[arg-type] # any number will do


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with reading_world(tmp_path) as served:
        await served.apply(CABINETS, cabinet_seen())
        yield served


def sent(world: World) -> list[ReindexRequested]:
    events = [one.event for one in world.events.on(RUNS)]
    return [one for one in events if isinstance(one, ReindexRequested)]


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def test_a_run_is_an_event_before_it_is_answered(world: World) -> None:
    world.client.headers["traceparent"] = TRACE
    answer = await world.post("/rag/index/7", key="ingest")
    assert answer.status_code == 202
    told = answer.json()
    assert set(told) == {"message", "task_id"}
    assert answer.headers["location"] == f"/rag/task/{told['task_id']}"
    [record] = world.events.on(RUNS)
    assert record.key == "7"
    assert record.event == ReindexRequested(
        task_id=told["task_id"],
        cabinet_id=7,
        mode=ReindexMode.CHANGED,
        trigger=ReindexTrigger.MANUAL,
        accepted_at=EPOCH,
    )
    assert Envelope.from_headers(record.headers).traceparent == TRACE


async def test_what_is_asked_of_a_run_is_handed_on(world: World) -> None:
    body = {
        "mode": "full",
        "document_ids": [A_DOCUMENT.upper(), A_DOCUMENT],
        "confirm_vanished": True,
    }
    assert (await world.post("/rag/index/7", body)).status_code == 202
    [event] = sent(world)
    assert event.mode is ReindexMode.FULL
    assert event.document_ids == [A_DOCUMENT]
    assert event.is_vanishing_confirmed


async def test_a_run_under_way_is_joined(world: World) -> None:
    waiting, working = requested(), requested(second=5)
    await world.apply(RUNS, waiting)
    answer = await world.post("/rag/index/7", {"mode": "changed"})
    assert (answer.status_code, answer.json()["task_id"]) == (202, waiting.task_id)
    await world.apply(RUNS, working)
    assert (await world.post("/rag/index/7")).json()["task_id"] == waiting.task_id
    await world.apply("task.progress", run_progressed(working))
    answer = await world.post("/rag/index/7")
    assert answer.json()["task_id"] == working.task_id
    assert "under way" in answer.json()["message"]
    assert answer.headers["location"] == f"/rag/task/{working.task_id}"
    assert sent(world) == []


@pytest.mark.parametrize(
    "body",
    [
        {"document_ids": [A_DOCUMENT]},
        {"mode": "full"},
        {"mode": "failed"},
        {"confirm_vanished": True},
    ],
)
async def test_a_request_for_more_than_what_has_changed_is_the_planner_s_to_judge(
    world: World, body: dict[str, Any]
) -> None:
    run = requested()
    await world.apply(RUNS, run)
    answer = await world.post("/rag/index/7", body)
    assert answer.json()["task_id"] != run.task_id
    assert len(sent(world)) == 1


async def test_runs_of_other_cabinets_and_ended_ones_are_not_joined(world: World) -> None:
    ended, foreign = requested(), requested(8)
    await world.apply(RUNS, ended, foreign)
    await world.apply("task.status", run_ended(ended))
    await world.apply("documents.interactive", submitted())
    answer = await world.post("/rag/index/7")
    assert answer.json()["task_id"] not in {ended.task_id, foreign.task_id}
    assert len(sent(world)) == 1


async def test_a_run_that_has_ended_without_the_view_s_knowledge_is_not_joined(
    world: World,
) -> None:
    run = requested()
    await world.apply(RUNS, run)
    world.log.pending.append(("task.status", run_ended(run)))
    assert (await world.post("/rag/index/7")).json()["task_id"] != run.task_id
    late = requested(second=9)
    await world.apply(RUNS, late)
    world.log.is_behind = True
    assert (await world.post("/rag/index/7")).json()["task_id"] != late.task_id
    assert len(sent(world)) == 2


async def test_a_cabinet_that_only_another_replica_has_seen_can_be_reindexed(world: World) -> None:
    world.log.pending.append((CABINETS, configured(cabinet=8)))
    assert (await world.post("/rag/index/8")).status_code == 202
    assert (await world.get("/rag/index/8/plan")).status_code == 200


@pytest.mark.parametrize("path", ["/rag/index/{}", "/rag/index/{}/plan"])
async def test_a_foreign_cabinet_answers_as_an_unknown_one(world: World, path: str) -> None:
    await world.apply(CABINETS, cabinet_seen(8))
    before = world.log.asked
    ask = world.get if path.endswith("plan") else world.post
    answers = [await ask(path.format(n), key="seven") for n in (8, 9)]
    assert [code(answer) for answer in answers] == [(404, "not_found")] * 2
    assert answers[0].json()["detail"] == answers[1].json()["detail"]
    assert world.log.asked == before + 2
    assert sent(world) == []
    assert world.planner.asked == []
    world.log.is_behind = True
    assert code(await ask(path.format(9))) == (503, "view_behind")


@pytest.mark.parametrize("scope", ["search", "read", "delete", "admin"])
async def test_a_run_needs_its_scope(world: World, scope: str) -> None:
    assert code(await world.post("/rag/index/7", key=scope)) == (403, "forbidden")
    assert sent(world) == []


@pytest.mark.parametrize("scope", ["search", "ingest", "delete", "admin"])
async def test_a_plan_needs_its_scope(world: World, scope: str) -> None:
    assert code(await world.get("/rag/index/7/plan", scope)) == (403, "forbidden")
    assert world.planner.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "all"},
        {"modus": "full"},
        {"document_ids": []},
        {"document_ids": ["x"]},
        {"document_ids": [A_DOCUMENT] * 1001},
        {"confirm_vanished": "perhaps"},
        [],
    ],
)
async def test_a_request_that_cannot_be_read_is_refused(world: World, body: Any) -> None:
    assert code(await world.post("/rag/index/7", body)) == (422, "invalid_request")
    assert sent(world) == []


async def test_stray_parameters_are_refused(world: World) -> None:
    assert code(await world.post("/rag/index/7?mode=full")) == (422, "invalid_request")
    assert code(await world.get("/rag/index/7/plan", modus="full")) == (422, "invalid_request")
    assert code(await world.get("/rag/index/7/plan", mode="all")) == (422, "invalid_request")
    assert code(await world.post("/rag/index/0")) == (422, "invalid_request")


async def test_while_kafka_is_away_no_run_is_promised(world: World) -> None:
    world.events.trouble = "no broker"
    assert code(await world.post("/rag/index/7")) == (503, "event_log_unavailable")
    world.events.trouble, world.events.silent = None, True
    assert code(await world.post("/rag/index/7")) == (503, "event_log_unavailable")


async def test_a_plan_says_what_a_run_would_do(world: World) -> None:
    answer = await world.get("/rag/index/7/plan", "read", mode="full")
    assert answer.status_code == 200
    assert answer.json() == {
        "cabinet_id": 7,
        "mode": "full",
        "total": 2,
        "counts": {
            "seen": 3,
            "new": 2,
            "changed": 0,
            "stale": 0,
            "forced": 0,
            "vanished": 0,
            "unchanged": 1,
            "pending": 0,
            "failed_before": 0,
        },
        "chunks": 44,
        "estimated_seconds": 5.5,
        "would_fail": None,
    }
    world.planner.would_fail = PlanFault(code="vanish_guard", message="60 of 100 are gone")
    failing = (await world.get("/rag/index/7/plan")).json()
    assert failing["would_fail"] == {"code": "vanish_guard", "message": "60 of 100 are gone"}
    assert world.planner.asked == [(7, ReindexMode.FULL), (7, ReindexMode.CHANGED)]
    assert world.events.appended == []


async def test_a_planner_that_is_away_is_told_without_its_address(world: World) -> None:
    world.planner.is_away = True
    answer = await world.get("/rag/index/7/plan")
    assert code(answer) == (503, "planner_unavailable")
    assert "10.0.0.1" not in answer.text
    assert answer.headers["retry-after"]


async def test_the_task_of_a_run_tells_how_far_it_is_and_what_it_came_to(world: World) -> None:
    run = requested()
    path = f"/rag/task/{run.task_id}"
    world.log.pending.append((RUNS, run))
    answer = (await world.get(path, "read")).json()
    assert (answer["kind"], answer["status"], answer["result"]) == ("reindex", "queued", None)
    assert answer["accepted_at"] == "2026-01-02T03:04:05Z"
    await world.apply("task.progress", run_progressed(run, 1))
    answer = (await world.get(path)).json()
    assert (answer["status"], answer["progress"]) == ("running", 0.25)
    assert answer["result"] == {
        "success": 1,
        "errors": [],
        "failed": 0,
        "overtaken": 0,
        "total": 4,
        "counts": COUNTS.model_dump(),
        "eta_seconds": 3.5,
        "joined": None,
    }
    await world.apply("task.status", run_ended(run))
    answer = (await world.get(path)).json()
    assert (answer["status"], answer["progress"]) == ("succeeded", 1.0)
    assert (answer["result"]["success"], answer["result"]["eta_seconds"]) == (4, None)
    [listed] = (await world.get("/rag/tasks")).json()["tasks"]
    assert listed == answer


async def test_a_run_s_inner_reasons_stay_inside(world: World) -> None:
    run = requested()
    secret = RunError(external_id="a.pdf", code="body_missing", message="cabinets/7/bodies/x")
    plain = RunError(external_id="b.pdf", code="malformed", message="no trailer")
    result = RunResult(success=1, failed=2, total=3, errors=[secret, plain])
    await world.apply(RUNS, run)
    await world.apply("task.progress", run_progressed(run, errors=[secret]))
    assert "bodies" not in (await world.get(f"/rag/task/{run.task_id}")).text
    await world.apply("task.status", run_ended(run, result=IndexResult(run=result)))
    answer = await world.get(f"/rag/task/{run.task_id}")
    assert "bodies" not in answer.text
    errors = answer.json()["result"]["errors"]
    assert [one["external_id"] for one in errors] == ["a.pdf", "b.pdf"]
    assert errors[1]["message"] == "no trailer"


async def test_a_run_that_failed_or_joined_another_says_so(world: World) -> None:
    failed, joining = requested(), requested(second=1)
    other = new_task_id()
    error = TaskError(code="vanish_guard", message="60 of 100 are gone", retriable=False)
    await world.apply(RUNS, failed, joining)
    await world.apply(
        "task.status",
        run_ended(failed, TaskStatus.FAILED, result=None, error=error),
        run_ended(joining, TaskStatus.SUPERSEDED, joined=other),
    )
    answer = (await world.get(f"/rag/task/{failed.task_id}")).json()
    assert (answer["status"], answer["result"]) == ("failed", None)
    assert answer["error"]["code"] == "vanish_guard"
    answer = (await world.get(f"/rag/task/{joining.task_id}")).json()
    assert (answer["status"], answer["result"]["joined"]) == ("superseded", other)


async def test_a_run_cannot_be_cancelled(world: World) -> None:
    run = requested()
    await world.apply(RUNS, run)
    assert code(await world.delete(f"/rag/task/{run.task_id}")) == (409, "not_cancellable")
