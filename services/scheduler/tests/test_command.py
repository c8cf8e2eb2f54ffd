"""What a person and a CronJob see of the commands."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from scheduler_world import NOON, World, configured

from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.reindex import ReindexMode
from kartoteka_runtime.env import SettingsError
from kartoteka_testkit.eventually import eventually
from scheduler.__main__ import main
from scheduler.entrypoints import command
from scheduler.entrypoints.arguments import make_parser, wanted
from scheduler.entrypoints.command import Report
from scheduler.settings import Settings
from scheduler.usecases.reindex import Wanted

R = TypeVar("R")
KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}


def connected(ready: R) -> AbstractAsyncContextManager[R]:
    @asynccontextmanager
    async def connect() -> AsyncIterator[R]:
        yield ready

    return connect()


class Paper:
    """Where a command writes."""

    def __init__(self, metrics: Path | None = None) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.report = Report(metrics, out=self.out, err=self.err)

    @property
    def said(self) -> dict[str, Any]:
        lines = self.out.getvalue().splitlines()
        assert len(lines) == 1
        found: dict[str, Any] = json.loads(lines[0])
        return found


def due_world() -> World:
    world = World()
    world.state.events += [configured(n) for n in (1, 2, 3)]
    return world


async def test_a_tick_prints_one_line_of_figures_and_ends_with_0() -> None:
    world, first, second = due_world(), Paper(), Paper()
    assert await command.tick(connected(world.tick()), first.report) == 0
    world.clock.advance(timedelta(days=1).total_seconds())
    assert await command.tick(connected(world.tick()), second.report) == 0
    said = second.said
    assert said.pop("seconds") >= 0
    assert said == {
        "ok": True,
        "cabinets": 3,
        "due": 3,
        "emitted": 3,
        "watermark": (NOON + timedelta(days=1)).isoformat(),
        "held_elsewhere": False,
    }


async def test_a_lock_that_another_holds_is_0_too() -> None:
    world, paper = due_world(), Paper()
    world.locks.holder, world.locks.until = "another", NOON + timedelta(days=1)
    assert await command.tick(connected(world.tick()), paper.report) == 0
    assert paper.said["held_elsewhere"] is True


@pytest.mark.parametrize("away", ["kafka", "cluster"])
async def test_what_is_away_is_1_with_the_reason_and_the_figures(away: str) -> None:
    world, paper = due_world(), Paper()
    world.state.is_away, world.locks.is_away = away == "kafka", away == "cluster"
    assert await command.tick(connected(world.tick()), paper.report) == 1
    assert paper.said["ok"] is False
    assert paper.err.getvalue().strip()


async def test_a_signal_ends_a_tick_with_1_and_releases_the_lock() -> None:
    world, paper = due_world(), Paper()
    world.log.left = 1  # the first watermark
    await command.tick(connected(world.tick()), Paper().report)
    world.clock.advance(timedelta(days=1).total_seconds())
    world.log.left = None

    class Stuck:
        async def send(self, *_: object, **__: object) -> object:
            os.kill(os.getpid(), signal.SIGTERM)
            return await asyncio.Event().wait()

    tick = world.tick()
    stuck = type(tick)(
        state=tick.state,
        log=Stuck(),
        lock=tick.lock,
        journal=tick.journal,
        clock=tick.clock,
        in_flight=1,
    )
    assert await command.tick(connected(stuck), paper.report) == 1
    assert "signal" in paper.err.getvalue()
    assert (paper.said["due"], paper.said["emitted"]) == (3, 0)
    assert world.locks.holder is None


async def test_reindex_says_which_runs_named_cabinets_have() -> None:
    world, paper = due_world(), Paper()
    wanted = Wanted(cabinets=(CabinetId(7),))
    assert await command.reindex(connected(world.reindex()), wanted, paper.report) == 0
    (run,) = world.log.runs()
    assert paper.said["runs"] == {"7": run.task_id}


async def test_a_loop_goes_on_through_an_outage_until_a_signal() -> None:
    world, paper = due_world(), Paper()
    world.state.is_away = True

    async def meanwhile() -> None:
        await eventually(lambda: world.locks.asked >= 2)  # two ticks failed
        world.state.is_away = False
        await eventually(lambda: len(world.log.watermarks()) > 0)
        world.clock.advance(timedelta(days=1).total_seconds())
        await eventually(lambda: world.log.watermarks()[-1] > NOON + timedelta(hours=23))
        os.kill(os.getpid(), signal.SIGTERM)

    looping = command.loop(connected(world.tick()), paper.report, every=0.02, limit=10)
    status, _ = await asyncio.gather(looping, meanwhile())
    assert status == 0
    assert paper.said["ok"] is True
    assert {run.cabinet_id for run in world.log.runs()} == {1, 2, 3}


async def test_a_tick_that_hangs_is_given_up_and_tried_again() -> None:
    world, paper = due_world(), Paper()
    asked = 0

    class Hanging:
        async def watermark(self) -> None:
            nonlocal asked
            asked += 1
            if asked == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

        cabinets = world.state.cabinets

    tick = world.tick()
    hanging = type(tick)(
        state=Hanging(),
        log=tick.log,
        lock=tick.lock,
        journal=tick.journal,
        clock=tick.clock,
        in_flight=1,
    )
    assert await command.loop(connected(hanging), paper.report, every=0.02, limit=0.05) == 0
    assert paper.said["ok"] is False


async def test_the_metrics_file_has_the_figures_and_the_watermark(tmp_path: Path) -> None:
    world, path = due_world(), tmp_path / "scheduler.prom"
    await command.tick(connected(world.tick()), Paper(path).report)
    text = path.read_text()
    assert "kartoteka_scheduler_ok 1.0" in text
    assert "kartoteka_scheduler_emitted 0.0" in text
    assert "kartoteka_scheduler_watermark_timestamp_seconds 1.7803152e+09" in text
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208 - quick, unlike Path's, to the linter


async def test_a_metrics_file_that_cannot_be_written_is_1() -> None:
    paper = Paper(Path("/nowhere/scheduler.prom"))
    assert await command.tick(connected(due_world().tick()), paper.report) == 1
    assert "metrics file" in paper.err.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        ["reindex", "--cabinet", "0"],
        ["reindex", "--cabinet", "seven"],
        ["reindex", "--mode", "all"],
        ["loop", "--every", "0"],
        ["tock"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


@pytest.mark.parametrize("name", ["tick", "loop", "reindex"])
def test_each_help_teaches_by_examples_and_names_the_exit_statuses(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert f"python -m scheduler {name}" in said
    assert "exit status:" in said


def run(arguments: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scheduler", *arguments],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_wrong_settings_are_2_and_all_named() -> None:
    ended = run(["tick"], {"SCHEDULER_IN_FLIGHT": "none"})
    assert ended.returncode == 2
    assert "KAFKA_BOOTSTRAP_SERVERS" in ended.stderr
    assert "SCHEDULER_IN_FLIGHT" in ended.stderr
    assert ended.stdout == ""


def asked(arguments: list[str], env: dict[str, str]) -> Wanted:
    parser = make_parser("")
    return wanted(
        parser,
        parser.parse_args(["reindex", *arguments]),
        Settings.load({**KAFKA, **env}).reindex,
    )


def test_a_job_says_by_its_environment_what_to_reindex() -> None:
    env = {
        "SCHEDULER_REINDEX_CABINETS": "7, 8",
        "SCHEDULER_REINDEX_MODE": "failed",
        "SCHEDULER_REINDEX_CONFIRM_VANISHED": "true",
    }
    assert asked([], env) == Wanted(
        cabinets=(CabinetId(7), CabinetId(8)),
        mode=ReindexMode.FAILED,
        is_vanishing_confirmed=True,
    )


def test_what_nothing_says_is_all_cabinets_and_what_changed() -> None:
    assert asked([], {"SCHEDULER_REINDEX_CABINETS": ""}) == Wanted()


def test_options_win_over_the_environment() -> None:
    env = {"SCHEDULER_REINDEX_CABINETS": "7", "SCHEDULER_REINDEX_MODE": "failed"}
    assert asked(["--cabinet", "9", "--mode", "full"], env) == Wanted(
        cabinets=(CabinetId(9),), mode=ReindexMode.FULL
    )


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (["--confirm-vanished"], {}),
        ([], {"SCHEDULER_REINDEX_CONFIRM_VANISHED": "true"}),
    ],
    ids=["option", "environment"],
)
def test_vanishing_is_confirmed_of_named_cabinets_only(
    arguments: list[str], env: dict[str, str]
) -> None:
    ended = run(["reindex", *arguments], {**KAFKA, **env})
    assert ended.returncode == 2
    assert "SCHEDULER_REINDEX_CABINETS" in ended.stderr


@pytest.mark.parametrize(
    "env",
    [
        {"SCHEDULER_REINDEX_CABINETS": "7,seven"},
        {"SCHEDULER_REINDEX_CABINETS": "0"},
        {"SCHEDULER_REINDEX_MODE": "all"},
    ],
    ids=lambda env: " ".join(map("=".join, env.items())),
)
def test_a_wrong_wish_of_the_environment_is_a_wrong_setting(env: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(env))):
        Settings.load({**KAFKA, **env})


def test_a_pod_without_a_service_account_is_told_what_to_do() -> None:
    ended = run(["tick"], {**KAFKA, "KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert ended.returncode == 2
    assert "automountServiceAccountToken" in ended.stderr


@pytest.mark.parametrize(
    ("env", "has_lease"),
    [
        ({}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "SCHEDULER_LEASE": "off"}, False),
        ({"SCHEDULER_LEASE": "on"}, True),
    ],
    ids=["outside", "inside", "inside but off", "outside but on"],
)
def test_a_lease_is_taken_in_a_cluster_or_where_it_is_asked_for(
    env: dict[str, str], *, has_lease: bool
) -> None:
    assert Settings.load({**KAFKA, **env}).has_lease is has_lease


def test_no_more_is_under_way_than_the_producer_takes() -> None:
    env = {"SCHEDULER_IN_FLIGHT": "5000", "PRODUCER_MAX_IN_FLIGHT": "100"}
    assert Settings.load({**KAFKA, **env}).in_flight == 100
    with pytest.raises(SettingsError, match="SCHEDULER_LEASE_NAME"):
        Settings.load({**KAFKA, "SCHEDULER_LEASE_NAME": "No Name"})
