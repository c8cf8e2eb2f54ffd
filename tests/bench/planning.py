"""A scheduler's tick over very many cabinets, in a process of its own, on a real broker."""

import asyncio
import json
import os
import resource
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings, Source
from kartoteka_contracts.codec import encode
from kartoteka_contracts.ids import CabinetId, Version
from kartoteka_contracts.reindex import SlotsEmitted
from kartoteka_contracts.schedule import Schedule
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.producer import Producer, ProducerSettings
from kartoteka_runtime.topics_admin import provision
from kartoteka_testkit.kafka_broker import KafkaBroker
from tests.bench.figures import Report

__all__ = ["measure_planning"]

_OWN_SCHEDULES = 10
"""One cabinet in as many has a schedule of its own."""
_SENDERS = 500


async def measure_planning(report: Report, *, folder: Path, cabinets: int = 100_000) -> None:
    """Let all cabinets be due at once, as after an outage, and time one tick.

    Raises:
        RuntimeError: not every cabinet was emitted.
    """
    broker = KafkaBroker(folder / "kafka")
    await broker.start()
    try:
        kafka = broker.settings(job_partitions=24)
        await provision(kafka)
        now = datetime.now(UTC)
        await _fill(kafka, cabinets, now)
        report.data["planning"] = (
            f"{cabinets} cabinets, each with settings and a source, one in {_OWN_SCHEDULES} with a "
            "schedule of its own; all due; the whole process is timed, its start included"
        )
        before = _cpu_of_children()
        seconds, peak, said = await _tick(kafka)
        cpu = _cpu_of_children() - before
    finally:
        await broker.stop()
    if said["emitted"] != cabinets:
        raise RuntimeError(f"the tick did not emit all: {said}")
    report.add("planning_cabinets", cabinets)
    report.add("planning_seconds", seconds, "s")
    report.add("planning_cpu_seconds", cpu, "s")
    report.add("planning_peak_mib", peak, "MiB")


async def _fill(kafka: KafkaSettings, cabinets: int, now: datetime) -> None:
    """Write the settings of all, and a watermark of a day ago."""
    producer = Producer(kafka, ProducerSettings(ack_timeout=30, request_timeout=30), client_id="b")
    await producer.start()
    try:
        left = iter(range(1, cabinets + 1))

        async def send() -> None:
            for n in left:
                event = _configured(n, now - timedelta(days=30))
                await producer.send("cabinets", key=event.key, value=encode(event))

        await asyncio.gather(*(send() for _ in range(_SENDERS)))
        mark = SlotsEmitted(up_to=now - timedelta(days=1, hours=1))
        await producer.send("scheduler.state", key=mark.key, value=encode(mark))
    finally:
        await producer.stop()


def _configured(n: int, at: datetime) -> CabinetConfigured:
    schedule = Schedule()
    if n % _OWN_SCHEDULES == 0:
        zone = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu")[n % 3]
        schedule = Schedule(cron=f"{n % 60} {n % 24} * * *", time_zone=zone)
    source = Source(
        name="share", url=f"s3://documents-of-cabinets/cabinet-{n}/", credentials="main"
    )
    return CabinetConfigured(
        cabinet_id=CabinetId(n),
        version=Version(round(at.timestamp() * 1e6)),
        settings=CabinetSettings(name=f"Cabinet {n}", schedule=schedule, sources=(source,)),
        created_at=at,
        at=at,
    )


async def _tick(kafka: KafkaSettings) -> tuple[float, float, dict[str, Any]]:
    """Return the seconds and the peak MiB of ``python -m scheduler tick``, and what it said."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scheduler", "tick"),
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        stdout=asyncio.subprocess.PIPE,
    )
    peaks = asyncio.create_task(_watch(process.pid))
    said, _ = await process.communicate()
    seconds = loop.time() - began
    return seconds, await peaks, json.loads(said)


def _cpu_of_children() -> float:
    """Return the CPU seconds of processes that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _watch(pid: int) -> float:
    """Return the largest resident size, in MiB, that a process says of itself until it ends."""
    status, peak = Path(f"/proc/{pid}/status"), 0.0
    while True:
        try:
            lines = status.read_text().splitlines()  # noqa: ASYNC240 - /proc never blocks
        except OSError:
            return peak
        found = [line for line in lines if line.startswith("VmHWM:")]
        if not found:  # ended, and not yet buried
            return peak
        peak = int(found[0].split()[1]) / 1024
        await asyncio.sleep(0.05)
