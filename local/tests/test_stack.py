import asyncio
import io
import os
import signal
import socket
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from rich.console import Console as RichConsole
from stand_ins import DIE, QUICK, gone, is_alive, plan, program, text_of

from kartoteka_local.broker import Broker
from kartoteka_local.console import Console
from kartoteka_local.errors import KeepsDyingError, StackError
from kartoteka_local.home import Home
from kartoteka_local.outside import Outside
from kartoteka_local.plan import Plan
from kartoteka_local.settings import StackSettings
from kartoteka_local.stack import Stack, Steps
from kartoteka_local.stack_file import StackFile, read_stack
from kartoteka_local.watcher import Watcher
from kartoteka_runtime.clock import SystemClock

NAMES = {"kafka", "qdrant", "ingest-api", "embedder-1", "embedder-2", "scheduler"}


DEAF_TO_QUESTIONS = "import time; time.sleep(60)"
SAYS_DAMAGED = """
import time
print("12:00 [x] ERROR a.B - The state machine is out of sync with the underlying log", flush=True)
time.sleep(60)
"""


async def a_key(_plan: Plan, _console: Console) -> str:
    return "secret"


async def no_topics(_plan: Plan) -> None:
    return


def stack_of(a_plan: Plan, watcher: Watcher, console: Console | None = None) -> Stack:
    return Stack(
        a_plan,
        StackSettings(home=a_plan.home.root, min_free_mib=1),
        console=console or Console(),
        clock=SystemClock(),
        watcher=watcher,
        policy=QUICK,
        steps=Steps(key=a_key, topics=no_topics),
    )


class Paper(io.StringIO):
    """What a console says, until it has said something."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self.written = asyncio.Event()
        self._awaited = awaited

    def flush(self) -> None:
        if self._awaited in self.getvalue():
            self.written.set()


class Running:
    """A stack that is ready, for the length of a block."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(root=folder)
        self.plan = plan(folder)
        self.stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._watcher = Watcher()

    async def __aenter__(self) -> Self:
        self._watcher.__enter__()
        self.task = asyncio.create_task(
            stack_of(self.plan, self._watcher).run(self.stop, self._when_ready)
        )
        await self._ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await self.task
        self._watcher.__exit__(None, None, None)

    def file(self) -> StackFile:
        found = read_stack(self.home)
        assert found is not None
        return found

    async def _when_ready(self, _file: StackFile) -> None:
        self._ready.set()


async def test_stack_json_says_what_runs_where_while_it_does(tmp_path: Path) -> None:
    async with Running(tmp_path) as running:
        found = running.file()
        assert found.api_url == "http://127.0.0.1:1"
        assert found.api_key == "secret"
        assert found.kafka == "127.0.0.1:2"
        assert found.qdrant_url == "http://127.0.0.1:3"
        assert found.pids.keys() == NAMES
        assert all(is_alive(pid) for pid in found.pids.values())
        assert found.supervisor_pid == os.getpid()
        mode = running.home.stack_file.stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
    assert not running.home.stack_file.exists()
    assert not any(is_alive(pid) for pid in found.pids.values())


async def test_it_stops_from_the_door_inwards(tmp_path: Path) -> None:
    async with Running(tmp_path):
        pass
    stopped = (tmp_path / "stopped").read_text(encoding="utf-8").split()
    assert set(stopped[:2]) == {"scheduler", "ingest-api"}
    assert set(stopped[2:4]) == {"embedder-1", "embedder-2"}
    assert stopped[4:] == ["qdrant", "kafka"]


async def test_stack_json_follows_a_child_that_was_started_again(tmp_path: Path) -> None:
    async with Running(tmp_path) as running:
        first = running.file().pids["qdrant"]
        (tmp_path / "qdrant.up").unlink()
        os.kill(first, signal.SIGKILL)
        second = int(await text_of(tmp_path / "qdrant.up"))
        assert second != first
        assert running.file().pids["qdrant"] == second


async def test_a_child_that_keeps_dying_stops_all_others(tmp_path: Path) -> None:
    a_plan = plan(tmp_path, api=DIE)
    with Watcher() as watcher, pytest.raises(KeepsDyingError, match="missing spoon"):
        await stack_of(a_plan, watcher).run(asyncio.Event(), _never)
    for name in ("kafka", "qdrant"):
        assert await gone(int((tmp_path / f"{name}.up").read_text(encoding="utf-8")))
    assert not a_plan.home.stack_file.exists()


async def _never(_file: StackFile) -> None:
    raise AssertionError("it was never ready")


async def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("stand_in_supervisor.py")), str(tmp_path)
    )
    await text_of(tmp_path / "stack.json")
    pids = read_stack(Home(root=tmp_path))
    assert pids is not None
    own = int(await text_of(tmp_path / "ingest-api.own"))
    assert is_alive(own)
    supervisor.kill()
    await supervisor.wait()
    for pid in (*pids.pids.values(), own):
        assert await gone(pid)


async def test_a_broker_that_runs_but_says_its_data_are_damaged_ends_the_start(
    tmp_path: Path,
) -> None:
    home = Home(root=tmp_path)
    broker = Broker(java="java", lib=tmp_path, home=home, port=1, controller_port=2)
    kafka = program(tmp_path, "kafka", SAYS_DAMAGED)
    a_plan = replace(plan(tmp_path), broker=broker, kafka=kafka)
    with Watcher() as watcher, pytest.raises(StackError) as caught:
        await stack_of(a_plan, watcher).run(asyncio.Event(), _never)
    assert "out of sync with the underlying log" in str(caught.value)
    assert f"mv {home.kafka_data} {home.kafka_data}.damaged" in str(caught.value)


async def test_an_unreachable_server_of_others_is_named_while_it_is_waited_for(
    tmp_path: Path,
) -> None:
    with socket.socket() as bound:  # bound but not listening: nobody else takes the port
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        away = Outside(setting="QDRANT_URL", host="127.0.0.1", port=port)
        a_plan = replace(plan(tmp_path, api=DEAF_TO_QUESTIONS), outside=(away,))
        said = Paper(f"127.0.0.1:{port}")
        console = Console(RichConsole(file=said, soft_wrap=True, highlight=False))
        stop = asyncio.Event()
        with Watcher() as watcher:
            running = asyncio.create_task(stack_of(a_plan, watcher, console).run(stop, _never))
            await asyncio.wait_for(said.written.wait(), 10)
            assert not running.done()
            stop.set()
            await running
