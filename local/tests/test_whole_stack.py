"""``python -m kartoteka_local run`` itself: real Kafka, real Qdrant engine, the real services."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from stand_ins import is_alive

from kartoteka_local.samples import SAMPLES
from kartoteka_testkit.kafka_broker import kafka_jars

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
NAMES = {"kafka", "qdrant", "ingest-api", "embedder-1", "scheduler"}
HOME = "KARTOTEKA_HOME"


class Run:
    """One run of the command."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        env = {
            **os.environ,
            HOME: str(home),
            "KARTOTEKA_KAFKA_LIB": str(kafka_jars()),
            "KARTOTEKA_API_PORT": "0",
            "KARTOTEKA_MIN_FREE_MIB": "1",
            "KAFKA_JOB_PARTITIONS": "2",
            "EMBEDDERS": "1",
            "MODEL_BACKEND": "hash",
            **settings,
        }
        self.output = home.parent / f"output-{time.monotonic_ns()}"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kartoteka_local", "run"],
                env=env,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def until(self, text: str, *, within: float = 120.0) -> None:
        """Wait until it said something."""
        deadline = time.monotonic() + within
        while text not in self.said:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it never said {text!r}:\n{self.said}")
            time.sleep(0.1)

    def stack(self) -> Mapping[str, str]:
        found: dict[str, str] = json.loads((self.home / "stack.json").read_text(encoding="utf-8"))
        return found

    def pids(self) -> dict[str, int]:
        raw = json.loads((self.home / "stack.json").read_text(encoding="utf-8"))
        return dict(raw["pids"])

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(120)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def first(home: Path) -> Iterator[Run]:
    run = Run(home)
    yield run
    run.end()


def test_a_newcomer_sees_documents_become_searchable_and_finds_them_again(
    home: Path, first: Run
) -> None:
    first.until("Everything is up")
    for sample in SAMPLES.iterdir():
        lines = [line for line in first.said.splitlines() if line.split()[:1] == [sample.name]]
        assert lines[-1].split()[1] == "succeeded", first.said
    assert "A sample search" in first.said
    assert "  1. " in first.said
    assert first.pids().keys() == NAMES
    stack, pids = first.stack(), first.pids()

    second = Run(home)
    assert second.process.wait(60) == 1
    assert f"process {first.process.pid} and serves {stack['api_url']}" in second.said

    assert first.end() == 0
    assert not any(is_alive(pid) for pid in pids.values())
    assert not (home / "stack.json").exists()
    assert "stopped ingest-api" in first.said

    third = Run(home)
    try:
        third.until("Everything is up")
        count = len(list(SAMPLES.iterdir()))
        assert f"{count} of {count} samples are indexed already and unchanged" in third.said
        assert third.stack()["kafka"] == stack["kafka"]
        assert third.stack()["api_key"] == stack["api_key"]
    finally:
        third.end()


def test_kills_and_a_damaged_view_lose_nothing(home: Path, first: Run) -> None:
    first.until("Everything is up")
    pids = first.pids()

    os.kill(pids["kafka"], signal.SIGKILL)
    first.until("kafka died (signal SIGKILL); starting it again")

    first.process.kill()
    first.process.wait()
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids.values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(pid) for pid in pids.values())

    for file in (home / "view").iterdir():
        file.write_bytes(os.urandom(5000))
    second = Run(home)
    try:
        second.until("Everything is up")
        assert "samples are indexed already and unchanged" in second.said
        tasks = _get(second, "/rag/tasks?cabinet=1")["tasks"]
        assert {task["status"] for task in tasks} == {"succeeded"}
        assert len(tasks) == len(list(SAMPLES.iterdir()))
    finally:
        second.end()


def test_a_damaged_index_stops_the_stack_with_what_to_do(home: Path, first: Run) -> None:
    first.until("Everything is up")
    assert first.end(signal.SIGINT) == 0
    for segments in (home / "qdrant").rglob("segments"):
        segments.rename(segments.with_name("gone"))
    second = Run(home)
    assert second.process.wait(120) == 1
    assert f"mv {home / 'qdrant'}" in second.said
    assert "upload the documents again" in second.said


def test_damaged_indexes_of_kafka_are_told_at_once_and_built_anew(home: Path, first: Run) -> None:
    first.until("Everything is up")
    assert first.end(signal.SIGINT) == 0
    for index in (home / "kafka" / "data").glob("*/*index"):
        index.write_bytes(os.urandom(1003))
    second = Run(home)
    assert second.process.wait(60) == 1
    [command] = [line for line in second.said.splitlines() if line.startswith("    find ")]
    subprocess.run(command, shell=True, check=True)  # noqa: S602 - as a person would
    third = Run(home)
    try:
        third.until("Everything is up")
        assert "samples are indexed already and unchanged" in third.said
    finally:
        third.end()


def _get(run: Run, path: str) -> dict[str, list[dict[str, str]]]:
    stack = run.stack()
    request = urllib.request.Request(  # noqa: S310 - the stack's own address
        stack["api_url"] + path, headers={"X-API-Key": stack["api_key"]}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the same
        body: dict[str, list[dict[str, str]]] = json.load(answer)
    return body
