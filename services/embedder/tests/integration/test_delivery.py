"""What may go wrong between Kafka and the handler, on a real broker, with processes that die."""

import asyncio
import json
import signal
import time

import pytest

from kartoteka_contracts.envelope import Envelope
from kartoteka_testkit.job_stage import SESSION_SECONDS, JobStage, WorkerProcess, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


async def test_work_is_done_once_and_committed(stage: JobStage) -> None:
    await stage.worker()
    await stage.send(*[stage.event(f"d{n}") for n in range(10)])
    await until(lambda: len(stage.names("ended")) == 10)
    await until(stage.is_committed)
    assert sorted(stage.names("began")) == [f"d{n}" for n in range(10)]


async def test_a_kill_while_the_head_runs_and_later_ones_are_done_loses_nothing(
    stage: JobStage,
) -> None:
    first = await stage.worker()
    head = stage.event("head", seconds=30)
    rest = [stage.event(f"d{n}") for n in range(20)]
    await stage.send(head, *rest)
    await until(lambda: len(stage.names("ended")) == 20)
    await asyncio.sleep(1.5)  # three commit intervals: a commit over the head would be out by now
    first.process.kill()
    await stage.worker()
    await until(lambda: stage.names("began").count("head") == 2, seconds=30)


async def test_an_exception_in_the_handler_ends_the_process_and_loses_nothing(
    stage: JobStage,
) -> None:
    marker = stage.folder / "marker"
    marker.touch()
    worker = await stage.worker()
    await stage.send(
        stage.event("bad", seconds=0, raise_while=str(marker)),
        *[stage.event(f"d{n}") for n in range(5)],
    )
    assert await worker.exit_code() == 1
    marker.unlink()
    await stage.worker()
    await until(lambda: "bad" in stage.names("ended"), seconds=30)
    await until(stage.is_committed)
    assert set(stage.names("ended")) == {"bad", *(f"d{n}" for n in range(5))}


async def test_sigterm_finishes_what_runs_and_nothing_is_done_again(stage: JobStage) -> None:
    worker = await stage.worker()
    await stage.send(stage.event("long", seconds=4), stage.event("short"))
    await until(lambda: {"long", "short"} <= set(stage.names("began")))
    worker.signal(signal.SIGTERM)
    await until(lambda: _is_draining(worker.log.read_text()))
    status, body = await worker.probe("ready")
    assert status == 503
    assert "draining" in body["reasons"]
    assert await worker.exit_code() == 0
    assert sorted(stage.names("ended")) == ["long", "short"]
    assert await stage.is_committed()
    await stage.worker()
    await stage.send(stage.event("next"))
    await until(lambda: "next" in stage.names("ended"))
    assert sorted(stage.names("began")) == ["long", "next", "short"]


async def test_a_drain_that_takes_too_long_cancels_and_another_worker_does_the_work(
    stage: JobStage,
) -> None:
    worker = await stage.worker(WORKER_DRAIN_SECONDS="1")
    await stage.send(stage.event("long", seconds=60))
    await until(lambda: "long" in stage.names("began"))
    worker.signal(signal.SIGTERM)
    assert await worker.exit_code() == 0
    assert stage.lines("cancelled")[0]["reason"] == "the worker is about to stop"
    assert not await stage.is_committed()
    await stage.worker()
    await until(lambda: stage.names("began").count("long") == 2, seconds=30)


async def test_a_second_worker_joins_while_a_long_job_runs(stage: JobStage) -> None:
    first = await stage.worker()
    for partition in range(4):
        await stage.send(stage.event(f"long{partition}", seconds=14), partition=partition)
    await until(lambda: len(stage.names("began")) == 4)
    second = await stage.worker()
    joined = time.monotonic()
    await stage.send(*[stage.event(f"d{n}") for n in range(8)], partition=0)
    await stage.send(*[stage.event(f"e{n}") for n in range(8)], partition=3)
    short = {f"{x}{n}" for x in "de" for n in range(8)}
    await until(lambda: short <= set(stage.names("ended")), seconds=10)
    assert time.monotonic() - joined < 10
    await until(lambda: {f"long{p}" for p in range(4)} <= set(stage.names("ended")), seconds=40)
    kept = [x["name"] for x in stage.lines("ended") if x["pid"] == _python_pid(stage, 0)]
    adopted = [name for name in kept if name.startswith("long")]
    assert adopted, "the first worker kept no partition"
    for name in adopted:
        assert stage.names("began").count(name) == 1
    cancelled = [name for name in stage.names("cancelled") if name.startswith("long")]
    assert sorted(adopted + cancelled) == [f"long{p}" for p in range(4)]
    await until(stage.is_committed)
    assert first.process.is_running
    assert second.process.is_running


async def test_what_cannot_be_read_goes_to_the_handler_and_holds_up_nothing(
    stage: JobStage,
) -> None:
    await stage.worker()
    for value in (b"\xff not json", b'{"type": "no_such_event", "schema_version": 1}', None, b""):
        await stage.send_raw(value, key=f"{stage.cabinet}/x")
    await stage.send(stage.event("good"))
    await until(lambda: "good" in stage.names("ended"))
    await until(stage.is_committed)
    codes = [line["code"] for line in stage.lines("rejected")]
    assert sorted(codes) == ["event_malformed"] * 3 + ["event_unsupported"]


async def test_a_newer_version_ends_the_running_older_one(stage: JobStage) -> None:
    await stage.worker()
    await stage.send(stage.event("d", version=1, seconds=60))
    await until(lambda: stage.names("began") == ["d"])
    await stage.send(stage.event("d", version=2), topic="documents.bulk")
    await until(lambda: len(stage.lines("ended")) == 1)
    await until(stage.is_committed)
    steps = [(line["what"], line["version"]) for line in stage.lines()]
    assert steps == [
        ("began", 1),
        ("cancelled", 1),
        ("superseded", 1),
        ("began", 2),
        ("ended", 2),
    ]


async def test_a_retry_waits_for_its_time_and_holds_up_no_other(stage: JobStage) -> None:
    await stage.worker()
    due = time.time() + 4
    later = Envelope(event_id="a", attempt=1, not_before_ms=int(due * 1000)).to_headers()
    await stage.send(stage.event("later"), topic="documents.retry", headers=later)
    await stage.send(stage.event("now"), topic="documents.retry")
    await until(lambda: stage.names("ended") == ["now"])
    await until(lambda: "later" in stage.names("ended"))
    (began,) = [line for line in stage.lines("began") if line["name"] == "later"]
    assert due <= began["at"] < due + 2
    await until(stage.is_committed)


async def test_a_worker_that_slept_past_its_session_spoils_nothing(stage: JobStage) -> None:
    sleeper = await stage.worker()
    await stage.send(stage.event("head", seconds=8), *[stage.event(f"d{n}") for n in range(6)])
    await until(lambda: len(stage.names("ended")) == 6)
    pid = _python_pid(stage, 0)
    sleeper.signal(signal.SIGSTOP)
    other = await stage.worker()
    await asyncio.sleep(SESSION_SECONDS + 3)  # past the session, and past the end of "head"
    sleeper.signal(signal.SIGCONT)
    await until(lambda: any(x["pid"] != pid for x in _of(stage, "head", "ended")), seconds=30)
    await until(stage.is_committed, seconds=30)
    await until(lambda: _share_a_generation(sleeper, other), seconds=30)
    await stage.send(*[stage.event(f"e{n}") for n in range(12)], partition=0)
    await stage.send(*[stage.event(f"f{n}") for n in range(12)], partition=2)
    late = {f"{x}{n}" for x in "ef" for n in range(12)}
    await until(lambda: late <= set(stage.names("ended")), seconds=30)
    await until(stage.is_committed, seconds=30)
    for name in late:
        assert stage.names("began").count(name) == 1


async def test_a_broker_that_is_away_at_start_is_waited_for(stage: JobStage) -> None:
    worker = await stage.worker(is_awaited=False, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    await until(lambda: _is_serving(worker.log.read_text()))
    worker.process.must_run()
    status, body = await worker.probe("ready")
    assert status == 503
    assert body["reasons"]
    assert (await worker.probe("live"))[0] == 200
    worker.signal(signal.SIGTERM)
    assert await worker.exit_code() == 0


def _of(stage: JobStage, name: str, what: str) -> list[dict[str, object]]:
    return [line for line in stage.lines(what) if line["name"] == name]


def _share_a_generation(*workers: WorkerProcess) -> bool:
    """Return whether all have been given partitions by the same, last rebalance."""
    last = []
    for worker in workers:
        lines = [json.loads(line) for line in worker.log.read_text().splitlines() if "{" in line]
        shares = [line for line in lines if line["event"] == "partitions_assigned"]
        last.append((shares[-1]["generation"], shares[-1]["partitions"] > 0))
    return len(set(last)) == 1 and last[0][1]


def _python_pid(stage: JobStage, worker: int) -> int:
    return stage.workers[worker].pid


def _is_draining(text: str) -> bool:
    return '"draining"' in text


def _is_serving(text: str) -> bool:
    return '"serving"' in text
