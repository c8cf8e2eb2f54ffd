"""A process ends with the status it means, and with all it wrote."""

import asyncio
import os
import sys
from pathlib import Path

# One run alone is aborted in a tenth to a third of cases where the interpreter shuts down by
# itself: of forty, some are then all but certain to be.
RUNS = 40
AT_ONCE = 4

PROGRAM = """
import asyncio
import logging
import sys

import obstore
from obstore.store import LocalStore

from kartoteka_runtime.process_end import end_process


async def read(folder: str) -> None:
    store = LocalStore(folder)
    async for _ in obstore.list(store, chunk_size=10):
        pass
    for n in range(40):
        await (await obstore.get_async(store, f"{n}.json")).bytes_async()


asyncio.run(read(sys.argv[1]))
logging.getLogger().addHandler(logging.StreamHandler())
logging.warning("logged")
sys.stdout.write("written")
end_process(int(sys.argv[2]))
"""


async def _run(folder: Path, status: int, slots: asyncio.Semaphore) -> tuple[int | None, str, str]:
    async with slots:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM,
            os.fspath(folder),
            str(status),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode().strip()


async def test_a_process_that_used_object_storage_is_never_aborted_at_its_end(
    tmp_path: Path,
) -> None:
    for n in range(40):
        (tmp_path / f"{n}.json").write_text("x", encoding="utf-8")
    slots = asyncio.Semaphore(AT_ONCE)
    ends = await asyncio.gather(*(_run(tmp_path, n % 3, slots) for n in range(RUNS)))
    assert ends == [(n % 3, "written", "logged") for n in range(RUNS)]
