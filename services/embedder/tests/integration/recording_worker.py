"""A real worker process whose handler only writes down what it is asked to do.

Run by the tests: ``python recording_worker.py JOURNAL CABINET``, settings from the environment. A
job's metadata say how it behaves: ``seconds`` to take, ``raise_while`` a file exists. A run's step
takes as many seconds as it has ``waits``.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from embedder.bootstrap import crew
from embedder.domain.job import Job, Lease, RawRecord
from embedder.entrypoints.crew import Crew
from embedder.entrypoints.worker import Worker, serve
from embedder.entrypoints.worker_settings import HttpSettings, WorkerSettings
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.events import TaskCancellationRequested
from kartoteka_contracts.reindex import ReindexRequested, RunContinued
from kartoteka_runtime.env import read
from kartoteka_runtime.health import Health
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.logs import LogSettings, configure
from kartoteka_runtime.metrics import Metrics, process_registry


class RecordingHandler:
    """Appends one line to a journal for each step; lines of other cabinets are left out."""

    def __init__(self, journal: Path, cabinet: int) -> None:
        self._journal = journal
        self._cabinet = cabinet

    async def handle(self, job: Job, lease: Lease) -> None:
        if job.event.cabinet_id != self._cabinet:
            return
        if isinstance(job.event, TaskCancellationRequested):
            self._write("cancellation", job.event.external_id, job)
            return
        name, behaviour = _named(job)
        self._write("began", name, job)
        marker = behaviour.get("raise_while")
        if marker and Path(marker).exists():  # noqa: ASYNC240 - a test double
            raise RuntimeError("planted")
        try:
            await asyncio.sleep(float(behaviour.get("seconds", 0)))
        except asyncio.CancelledError:
            self._write("cancelled", name, job, reason=lease.ended)
            raise
        self._write("ended", name, job)

    async def supersede(self, job: Job) -> None:
        if job.event.cabinet_id == self._cabinet:
            self._write("superseded", job.submission.external_id, job)

    async def cancel(self, job: Job) -> None:
        if job.event.cabinet_id == self._cabinet:
            self._write("withdrawn", job.submission.external_id, job)

    async def reject(self, record: RawRecord, error: EventError) -> None:
        key = (record.key or b"").decode()
        if key.startswith(f"{self._cabinet}/"):
            self._write("rejected", key, None, code=error.code)

    def _write(self, what: str, name: str, job: Job | None, **more: Any) -> None:
        line: dict[str, Any] = {"what": what, "name": name, "pid": os.getpid(), "at": time.time()}
        if job is not None:
            line["version"] = job.version
            line["topic"] = job.record.origin.topic
            line["partition"] = job.record.origin.partition
            line["attempt"] = job.envelope.attempt
        with self._journal.open("a") as file:
            file.write(json.dumps(line | more) + "\n")
            file.flush()


def _named(job: Job) -> tuple[str, dict[str, Any]]:
    """Return a job's name and how it behaves."""
    match job.event:
        case ReindexRequested():
            return "request", {}
        case RunContinued(step=step, waits=seconds):
            return f"step{step}", {"seconds": seconds}
        case _:
            return job.submission.external_id, job.submission.metadata


async def main(journal: Path, cabinet: int) -> int:
    env = os.environ
    configure(LogSettings(level="info"), service="embedder")
    health, metrics, limits = Health(), Metrics(process_registry()), read(WorkerSettings, env)
    handler = RecordingHandler(journal, cabinet)

    async def hire() -> Crew:
        return crew(handler, kafka=read(KafkaSettings, env), worker=limits, metrics=metrics)

    worker = Worker(
        hire, health=health, metrics=metrics, http=read(HttpSettings, env), limits=limits
    )
    return await serve(worker)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]))))
