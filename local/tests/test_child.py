import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from stand_ins import DEAF, DIE, QUICK, SERVE, WITH_A_CHILD_OF_ITS_OWN, gone, program, text_of

from kartoteka_local.child import Child
from kartoteka_local.errors import KeepsDyingError
from kartoteka_local.program import Program
from kartoteka_local.watcher import Watcher
from kartoteka_runtime.clock import SystemClock


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    with Watcher() as watcher:
        yield watcher


def child_of(a_program: Program, watcher: Watcher, said: list[str]) -> Child:
    return Child(
        liveness_seconds=0.01,
        program=a_program,
        policy=QUICK,
        clock=SystemClock(),
        watcher=watcher,
        say=said.append,
        changed=lambda: None,
    )


async def test_a_child_that_dies_is_started_again_and_both_are_said(
    tmp_path: Path, watcher: Watcher
) -> None:
    said: list[str] = []
    child = child_of(program(tmp_path, "one"), watcher, said)
    keeper = asyncio.create_task(child.keep_alive())
    first = int(await text_of(tmp_path / "one.up"))
    await child.ready.wait()
    (tmp_path / "one.up").unlink()
    os.kill(first, signal.SIGKILL)
    second = int(await text_of(tmp_path / "one.up"))
    await child.ready.wait()
    assert second != first
    assert child.pid == second
    assert said[0] == "one died (signal SIGKILL); starting it again in 0.0 s"
    assert said[1].startswith("one is ready again, ")
    assert len(said) == 2
    assert await child.stop()
    await keeper


async def test_a_child_that_keeps_dying_ends_with_its_last_lines_and_advice(
    tmp_path: Path, watcher: Watcher
) -> None:
    said: list[str] = []
    child = child_of(program(tmp_path, "one", DIE), watcher, said)
    with pytest.raises(KeepsDyingError) as caught:
        await child.keep_alive()
    assert len(said) == QUICK.limit - 1
    assert "one keeps dying (exit code 3)" in str(caught.value)
    assert "the reason is a missing spoon" in str(caught.value)
    assert "Bring a spoon." in str(caught.value)


async def test_a_damaged_folder_is_not_tried_again(tmp_path: Path, watcher: Watcher) -> None:
    said: list[str] = []
    code = "print('the folder is damaged'); raise SystemExit(1)"
    child = child_of(program(tmp_path, "one", code, data=tmp_path), watcher, said)
    with pytest.raises(KeepsDyingError, match="no restart helps"):
        await child.keep_alive()
    assert said == []


async def test_what_a_dead_child_started_itself_goes_with_it(
    tmp_path: Path, watcher: Watcher
) -> None:
    child = child_of(program(tmp_path, "one", WITH_A_CHILD_OF_ITS_OWN), watcher, [])
    keeper = asyncio.create_task(child.keep_alive())
    first = int(await text_of(tmp_path / "one.up"))
    own = int(await text_of(tmp_path / "one.own"))
    (tmp_path / "one.up").unlink()
    os.kill(first, signal.SIGKILL)
    assert await gone(own)
    await text_of(tmp_path / "one.up")
    await child.stop()
    await keeper


async def test_a_child_that_ignores_the_request_to_stop_is_killed_after_its_grace(
    tmp_path: Path, watcher: Watcher
) -> None:
    child = child_of(program(tmp_path, "one", DEAF, grace=0.2), watcher, [])
    keeper = asyncio.create_task(child.keep_alive())
    pid = int(await text_of(tmp_path / "one.up"))
    assert not await child.stop()
    await keeper
    assert await gone(pid)


async def test_a_child_stopped_while_it_is_started_does_not_stay(
    tmp_path: Path, watcher: Watcher
) -> None:
    child = child_of(program(tmp_path, "one", SERVE), watcher, [])
    keeper = asyncio.create_task(child.keep_alive())
    await asyncio.sleep(0)  # it is being started: there is no pid yet
    assert child.pid is None
    await child.stop()
    await asyncio.wait_for(keeper, 10)
    assert child.pid is None


async def test_a_child_that_runs_but_does_not_live_is_ended_and_started_again(
    tmp_path: Path, watcher: Watcher
) -> None:
    said: list[str] = []
    verdicts = iter([None, "dizzy", None, "stuck", "stuck", "stuck"])
    asked = asyncio.Event()

    async def lives() -> str | None:
        return next(verdicts, None) if asked.is_set() else None

    child = child_of(replace(program(tmp_path, "one"), liveness=lives), watcher, said)
    keeper = asyncio.create_task(child.keep_alive())
    first = int(await text_of(tmp_path / "one.up"))
    await child.ready.wait()
    (tmp_path / "one.up").unlink()
    asked.set()
    second = int(await text_of(tmp_path / "one.up"))
    assert second != first
    assert said[0] == "one runs but does not live (stuck); ending it"
    await child.stop()
    await keeper
