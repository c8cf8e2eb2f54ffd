"""Steps of reindex runs beside document work, on a real broker, with processes that die."""

import asyncio
import signal
import time
from typing import Any

import pytest

from embedder.adapters.job_backlog import JobBacklog
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.topics import JOB_TOPICS, TOPICS
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_testkit.job_stage import PARTITIONS, RUNS, JobStage, create_job_topics, until
from kartoteka_testkit.kafka_broker import KafkaBroker
from kartoteka_testkit.run_events import reindex_requested, run_continued

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

RUN_PARTITIONS = TOPICS[RUNS].partition_count(PARTITIONS)


async def test_steps_follow_each_other_while_document_work_goes_on(stage: JobStage) -> None:
    await stage.worker()
    request = reindex_requested(cabinet=stage.cabinet)
    steps = [_step(stage, n, waits=3 if n == 1 else 0) for n in (1, 2, 3)]
    await stage.send(request, *steps, topic=RUNS, partition=None)
    await until(lambda: "step1" in stage.names("began"))
    names = [f"d{n}" for n in range(20)]
    await stage.send(*[stage.event(name) for name in names])
    await until(lambda: set(names) <= set(stage.names("ended")))
    assert "step1" not in stage.names("ended")
    await until(lambda: "step3" in stage.names("ended"))
    await until(stage.is_committed)
    of_run = [(line["what"], line["name"]) for line in stage.lines() if line["topic"] == RUNS]
    order = ["request", "step1", "step2", "step3"]
    assert of_run == [(what, name) for name in order for what in ("began", "ended")]
    assert len({line["partition"] for line in stage.lines() if line["topic"] == RUNS}) == 1


async def test_a_kill_in_the_middle_of_a_step_repeats_it_before_the_next(stage: JobStage) -> None:
    first = await stage.worker()
    await stage.send(_step(stage, 1, waits=5), _step(stage, 2), topic=RUNS, partition=17)
    await until(lambda: stage.names("began") == ["step1"])
    await asyncio.sleep(1.5)  # three commit intervals
    first.process.kill()
    await stage.worker()
    await until(lambda: "step2" in stage.names("ended"), seconds=40)
    await until(stage.is_committed)
    assert stage.names("began") == ["step1", "step1", "step2"]
    assert stage.names("ended") == ["step1", "step2"]


async def test_a_step_waits_for_its_time_and_holds_up_no_other(stage: JobStage) -> None:
    await stage.worker()
    due = time.time() + 4
    later = Envelope(event_id="a", not_before_ms=int(due * 1000)).to_headers()
    await stage.send(_step(stage, 1), topic=RUNS, headers=later)
    await stage.send(_step(stage, 2), topic=RUNS)
    await until(lambda: stage.names("ended") == ["step2"])
    await until(lambda: "step1" in stage.names("ended"))
    (began,) = [line for line in stage.lines("began") if line["name"] == "step1"]
    assert due <= began["at"] < due + 2
    await until(stage.is_committed)


async def test_a_step_that_waits_is_not_lost_by_a_kill(stage: JobStage) -> None:
    first = await stage.worker()
    due = time.time() + 12
    later = Envelope(event_id="a", not_before_ms=int(due * 1000)).to_headers()
    await stage.send(_step(stage, 1), topic=RUNS, headers=later)
    await stage.send(_step(stage, 2), topic=RUNS)
    await until(lambda: stage.names("ended") == ["step2"])
    await asyncio.sleep(1.5)  # three commit intervals: a commit over what waits would be out by now
    first.process.kill()
    await stage.worker()
    await until(lambda: "step1" in stage.names("ended"), seconds=40)
    (began,) = [line for line in stage.lines("began") if line["name"] == "step1"]
    assert began["at"] >= due
    await until(stage.is_committed)


async def test_workers_share_both_kinds_of_topic_though_their_counts_differ(
    stage: JobStage,
) -> None:
    first = await stage.worker()
    await stage.send(_step(stage, 99, waits=14), topic=RUNS, partition=0)
    await stage.send(stage.event("long", seconds=14), partition=0)
    await until(lambda: {"step99", "long"} <= set(stage.names("began")))
    second = await stage.worker()
    sent = await _send_everywhere(stage)
    short = set(sent)
    await until(lambda: short <= set(stage.names("ended")), seconds=40)
    await until(lambda: {"step99", "long"} <= set(stage.names("ended")), seconds=40)
    await until(stage.is_committed, seconds=20)
    by_pid = _places_by_pid(stage, short)
    assert set(by_pid) == {first.pid, second.pid}
    for places in by_pid.values():
        assert sum(topic == RUNS for topic, _ in places) == RUN_PARTITIONS // 2
        for topic in JOB_TOPICS:
            assert sum(name == topic for name, _ in places) == PARTITIONS // 2
        # The parts of one document's work meet in one worker, as they do without runs.
        interactive, bulk, retry = (
            {number for name, number in places if name == topic} for topic in JOB_TOPICS
        )
        assert interactive == bulk == retry
    for name in ("step99", "long"):  # adopted by the one that kept its partition, or done anew
        began, lost = stage.names("began").count(name), stage.names("cancelled").count(name)
        assert began - lost == 1
    for name in short:
        assert stage.names("began").count(name) == 1


async def test_a_worker_that_leaves_gives_its_steps_to_the_others(stage: JobStage) -> None:
    first = await stage.worker()
    second = await stage.worker()
    await _send_everywhere(stage)
    await until(lambda: len(set(stage.names("ended"))) == RUN_PARTITIONS + 3 * PARTITIONS)
    second.signal(signal.SIGTERM)
    assert await second.exit_code() == 0
    again = await _send_everywhere(stage, suffix=1)
    await until(lambda: set(again) <= set(stage.names("ended")), seconds=30)
    await until(stage.is_committed, seconds=20)
    assert set(_places_by_pid(stage, set(again))) == {first.pid}


async def test_a_backlog_tells_what_is_not_processed_and_comes_back_after_an_outage(
    tmp_path: Any,
) -> None:
    broker = KafkaBroker(tmp_path / "kafka")
    stage = JobStage(broker, tmp_path, tmp_path / "no_worker.py")
    backlog = JobBacklog(
        KafkaSettings(bootstrap_servers=broker.bootstrap_servers), group=stage.group
    )
    try:
        await broker.start()
        await create_job_topics(broker)
        assert await backlog.size("documents.bulk") == 0
        events = [stage.event(f"d{n}") for n in range(5)]
        await stage.send(*events, topic="documents.bulk", partition=None)
        await stage.send(_step(stage, 1), topic=RUNS)
        assert await backlog.size("documents.bulk") == 5
        assert await backlog.size(RUNS) == 1
        await stage.skip_earlier()
        assert await backlog.size("documents.bulk") == 0
        await stage.send(events[0], topic="documents.bulk")
        broker.kill()
        with pytest.raises(UnavailableError):
            await backlog.size("documents.bulk")
        with pytest.raises(UnavailableError):
            await backlog.size("documents.bulk")
        await broker.restart()
        assert await backlog.size("documents.bulk") == 1
        with pytest.raises(UnavailableError, match=r"no\.such"):
            await backlog.size("no.such")
        assert await asyncio.gather(*[backlog.size("documents.bulk") for _ in range(3)]) == [1] * 3
    finally:
        await backlog.stop()
        await broker.stop()


def _step(stage: JobStage, number: int, **fields: Any) -> Any:
    return run_continued(cabinet=stage.cabinet, step=number, **fields)


async def _send_everywhere(stage: JobStage, *, suffix: int = 0) -> list[str]:
    """Send one event to each partition of all topics; return their names."""
    names = []
    for number in range(RUN_PARTITIONS):
        step = 100 * (suffix + 1) + number
        await stage.send(_step(stage, step), topic=RUNS, partition=number)
        names.append(f"step{step}")
    for topic in JOB_TOPICS:
        for number in range(PARTITIONS):
            name = f"{topic}{number}-{suffix}"
            await stage.send(stage.event(name), topic=topic, partition=number)
            names.append(name)
    return names


def _places_by_pid(stage: JobStage, names: set[str]) -> dict[int, set[tuple[str, int]]]:
    found: dict[int, set[tuple[str, int]]] = {}
    for line in stage.lines("ended"):
        if line["name"] in names:
            found.setdefault(line["pid"], set()).add((line["topic"], line["partition"]))
    return found
