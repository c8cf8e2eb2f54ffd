"""Tiny real processes in the place of the stack's own, and a plan made of them."""

import asyncio
import sys
import time
from pathlib import Path

from kartoteka_local.home import Home
from kartoteka_local.plan import Plan
from kartoteka_local.program import Probe, Program
from kartoteka_local.restarts import RestartPolicy
from kartoteka_runtime.backoff import Backoff

QUICK = RestartPolicy(limit=4, window=60.0, backoff=Backoff(base=0.01, limit=0.05, jitter=0.0))

SERVE = """
import os, signal, sys, time
from pathlib import Path
name, folder = sys.argv[1], Path(sys.argv[2])
def stop(number, frame):
    with (folder / "stopped").open("a") as file:
        file.write(name + chr(10))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
(folder / f"{name}.up").write_text(str(os.getpid()))
print(name, "is up", flush=True)
while True:
    time.sleep(60)
"""
WITH_A_CHILD_OF_ITS_OWN = (
    """
import subprocess, sys
from pathlib import Path
name, folder = sys.argv[1], Path(sys.argv[2])
own = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
(folder / f"{name}.own").write_text(str(own.pid))
"""
    + SERVE
)
DEAF = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(Path(sys.argv[2]) / f"{sys.argv[1]}.up").write_text(str(os.getpid()))
while True:
    time.sleep(60)
"""
DIE = """
import sys
print("the reason is a missing spoon", flush=True)
sys.exit(3)
"""


def program(
    folder: Path, name: str, code: str = SERVE, *, grace: float = 10.0, data: Path | None = None
) -> Program:
    return Program(
        name=name,
        argv=(sys.executable, "-u", "-c", code, name, str(folder)),
        env={},
        log=folder / "logs" / f"{name}.log",
        probe=file_is_there(folder / f"{name}.up"),
        grace=grace,
        advice="Bring a spoon.",
        data=data,
        port_setting="KARTOTEKA_TEST_PORT",
    )


def file_is_there(path: Path) -> Probe:
    async def probe() -> str | None:
        return None if _content(path) else f"{path.name} is not there"

    return probe


def plan(folder: Path, *, api: str = SERVE) -> Plan:
    home = Home(root=folder)
    home.create()
    return Plan(
        home=home,
        broker=None,
        kafka=program(folder, "kafka"),
        qdrant=program(folder, "qdrant"),
        api=program(folder, "ingest-api", api),
        embedders=(program(folder, "embedder-1"), program(folder, "embedder-2")),
        scheduler=program(folder, "scheduler"),
        env={},
        api_url="http://127.0.0.1:1",
        kafka_address="127.0.0.1:2",
        qdrant_url="http://127.0.0.1:3",
    )


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def gone(pid: int, *, within: float = 10.0) -> bool:
    """Wait until a process is gone."""
    deadline = time.monotonic() + within
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def text_of(path: Path, *, within: float = 20.0) -> str:
    """Wait until a file has content, and return it."""
    deadline = time.monotonic() + within
    while True:
        text = _content(path)
        if text:
            return text
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} did not appear")
        await asyncio.sleep(0.02)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
