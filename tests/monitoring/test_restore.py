"""docs/runbooks/backup-and-restore.md, carried out as it is written."""

import asyncio
import json
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from monitoring_files import RUNBOOKS

from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

_PAGE = (RUNBOOKS / "backup-and-restore.md").read_text("utf-8")


def steps(name: str) -> str:
    """Return the commands of the page's block that a comment names."""
    found = re.search(rf"<!-- {name} -->\n((?:(?: {{4,}}.*)\n)+)", _PAGE)
    assert found is not None, name
    return textwrap.dedent(found[1])


async def carry_out(stack: Stack, name: str) -> str:
    """Run a block of the page by the shell, with a worker's settings; returns what it printed."""
    python = Path(sys.executable).parent
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", steps(name)),
        env={
            **os.environ,
            **stack.embedders[0].env,
            "PATH": f"{python}:{os.environ['PATH']}",
            "DATA": str(stack.folder),
            "BACKUP": str(stack.folder / "backup"),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    return output.decode()


async def _stop(stack: Stack) -> None:
    for service in (*stack.apis, *stack.embedders, stack.qdrant):
        await asyncio.to_thread(service.stop)
    await stack.broker.stop()


async def _index(stack: Stack, name: str, text: str, cabinet: int) -> dict[str, Any]:
    task = await stack.client.accepted(name, text.encode(), cabinet=cabinet)
    assert (await stack.client.ended(task["task_id"]))["status"] == "succeeded"
    return task


async def _answers(stack: Stack) -> dict[int, set[tuple[str, str, float]]]:
    return {
        cabinet: {
            (hit["external_id"], hit["text"], hit["score"])
            for hit in await stack.client.found("walnut harbour", cabinet=cabinet)
        }
        for cabinet in (1, 2)
    }


async def test_a_backup_brings_back_every_answer_of_its_time(tmp_path: Path) -> None:
    async with Stack(tmp_path) as stack:
        for cabinet in (1, 2):
            for n in range(3):
                await _index(stack, f"{n}.txt", f"Walnut {n} of harbour {cabinet}.", cabinet)
        gone = await _index(stack, "gone.txt", "A walnut that goes.", 1)
        delete = await stack.client.http.delete(
            f"/rag/documents/{gone['document_id']}?cabinet_id=1"
        )
        assert (await stack.client.ended(delete.json()["task_id"]))["status"] == "succeeded"
        before = await _answers(stack)
        assert [len(hits) for hits in before.values()] == [3, 3]
        await carry_out(stack, "backup")
        await _index(stack, "late.txt", "A walnut after the backup.", 1)

        await _stop(stack)
        for block in ("empty", "restore"):
            await carry_out(stack, block)
        stack.qdrant.start()
        await stack.broker.start()
        await carry_out(stack, "topics")
        for service in (*stack.apis, *stack.embedders):
            service.start()
        await stack.all_ready()
        assert await _answers(stack) == {1: set(), 2: set()}
        rebuilt = json.loads((await carry_out(stack, "rebuild")).splitlines()[-1])
        assert (rebuilt["ok"], rebuilt["undecided"]) == (True, 0)

        assert await _answers(stack) == before
        looked = json.loads((await carry_out(stack, "look")).splitlines()[-1])
        assert looked["ok"]
        assert not any(looked["not_done"].values()), looked
