"""The peers, each run in a process of its own, by their own environment's interpreter."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

from tests.bench_reindex.corpus import Folder
from tests.bench_reindex.side import Kill, Ran
from tests.bench_reindex.stored import stored_chunks
from tests.bench_reindex.truth import Chunk

__all__ = ["Peer"]

_ROOT = Path(__file__).resolve().parents[2]


class Peer:
    """One peer, used in one way.

    Args:
        name: of the table.
        way: ``peer:way``, as the process takes it.
        python: the interpreter that has the peers.
        state: a folder for its store and its records.
    """

    def __init__(self, name: str, way: str, *, python: Path, state: Path) -> None:
        self.name = name
        self._way = way
        self._python = python
        self._state = state
        self._output = state.with_suffix(".json")
        self._folder = Path()

    async def run(self, folder: Folder, *, kill: Kill | None = None, half: int = 0) -> Ran:
        """Run once over the folder, without the time of imports and of loading the model.

        Raises:
            RuntimeError: it failed, or was to be killed and was not.
        """
        self._folder = folder.path
        death = {
            None: [],
            Kill.MODEL: ["--die-at-embedding", str(half)],
            Kill.WRITE: ["--die-at-write"],
        }[kill]
        begun = time.perf_counter()
        code, said = await self._process(*death)
        expected = 0 if kill is None else -signal.SIGKILL
        if code != expected:
            raise RuntimeError(f"{self.name} ended with {code}:\n{said}")
        embedded, read = map(int, (self._state / "counts").read_text().split())
        if kill is not None:
            seconds = time.perf_counter() - begun
            return Ran(seconds=seconds, embedded=embedded, read=read, was_killed=True)
        took = json.loads(self._output.read_text("utf-8"))
        return Ran(seconds=took["seconds"], cpu=took["cpu"], embedded=embedded, read=read)

    async def chunks(self) -> list[Chunk]:
        """Return all that its store holds."""
        return await asyncio.to_thread(stored_chunks, self._state)

    async def _process(self, *options: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            str(self._python),
            "-m",
            "tests.bench_reindex.peer_process",
            self._way,
            str(self._folder),
            str(self._state),
            str(self._output),
            *options,
            cwd=_ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode(errors="replace")
