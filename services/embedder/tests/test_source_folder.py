"""The suite of sources on a folder, and what only a folder can do to whoever reads it."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from embedder.adapters.source_store import OutsideSources
from embedder.planner_ports import SourceError, SourceStore
from kartoteka_contracts.cabinets import Source
from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_runtime.source_settings import SourceSettings
from kartoteka_testkit.suites.sources import (
    MOST_BYTES,
    MeddledStore,
    Outside,
    Sources,
    SourcesSuite,
    listed,
)

MIB: Final = 1024 * 1024


class Folder(Outside):
    """A folder, in one that is allowed, beside one that is not."""

    def __init__(self, top: Path) -> None:
        self.root = top / "allowed" / "team docs"
        self.root.mkdir(parents=True)
        (top / "allowedx").mkdir()
        self.settings = SourceSettings(
            allowed_urls=(f"file://{top}/allowed",), max_bytes=MOST_BYTES
        )
        self.source = Source(name="docs", url=f"file://{top}/allowed/team%20docs")
        self.lost = Source(name="lost", url=f"file://{top}/allowed/lost")
        self.forbidden = Source(name="forbidden", url=f"file://{top}/allowedx")
        self._writes = 0

    async def put(self, path: str, data: bytes) -> None:
        at = self.root / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(data)
        # Two writes within one tick of the disk's clock are at one time.
        self._writes += 1
        time = at.stat().st_mtime_ns + self._writes * 1_000_000
        os.utime(at, ns=(time, time))

    async def remove(self, path: str) -> None:
        (self.root / path).unlink()

    def bytes_read(self) -> int:
        counts = Path("/proc/self/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in counts if line.startswith("rchar:"))


@pytest.fixture
def outside(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "outside")


@pytest.fixture
def opened(outside: Folder) -> Callable[[ObjectStore], SourceStore]:
    return lambda objects: OutsideSources(outside.settings, objects)


class TestFolder(SourcesSuite):
    pass


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/own"))


@pytest.fixture
def sources(opened: Callable[[ObjectStore], SourceStore], objects: ObjectStore) -> SourceStore:
    return opened(objects)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "secret.txt").write_text("secret")
    return folder


async def refused(sources: SourceStore, source: Source, path: str) -> str:
    with pytest.raises(KartotekaError) as caught:
        await sources.copy(source, path, to_key="bodies/copy")
    return caught.value.code


async def test_no_link_leads_out(sources: SourceStore, outside: Folder, secret: Path) -> None:
    await outside.put("real/a.txt", b"x")
    (outside.root / "file.txt").symlink_to(secret / "secret.txt")
    (outside.root / "folder").symlink_to(secret)
    (outside.root / "loop").symlink_to(outside.root)
    (outside.root / "dangling").symlink_to(outside.root / "none")
    assert set(await listed(sources, outside.source)) == {"real/a.txt"}
    for path in ("file.txt", "folder/secret.txt", "loop/real/a.txt", "dangling"):
        assert await refused(sources, outside.source, path) == "source_object_gone"


async def test_a_link_that_takes_a_listed_ones_place_is_not_followed(
    sources: SourceStore, outside: Folder, secret: Path
) -> None:
    await outside.put("real/secret.txt", b"x")
    assert set(await listed(sources, outside.source)) == {"real/secret.txt"}
    await outside.remove("real/secret.txt")
    (outside.root / "real").rmdir()
    (outside.root / "real").symlink_to(secret)
    assert await refused(sources, outside.source, "real/secret.txt") == "source_object_gone"
    assert await listed(sources, outside.source) == {}


async def test_a_source_that_is_itself_a_link_in_an_allowed_folder_is_refused(
    sources: SourceStore, outside: Folder, secret: Path
) -> None:
    (outside.root / "way").symlink_to(secret)
    for below in ("way", "way/deeper"):
        through = Source(name="way", url=f"{outside.source.url}/{below}")
        with pytest.raises(SourceError, match="symbolic link"):
            await listed(sources, through)
        assert await refused(sources, through, "secret.txt") == "source_unavailable"


async def test_the_operators_own_link_is_followed(
    tmp_path: Path, outside: Folder, objects: ObjectStore
) -> None:
    await outside.put("a.txt", b"x")
    (tmp_path / "mounted").symlink_to(outside.root)
    url = f"file://{tmp_path}/mounted"
    sources = OutsideSources(SourceSettings(allowed_urls=(url,)), objects)
    assert set(await listed(sources, Source(name="m", url=url))) == {"a.txt"}


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "a//b", "", ".", "a\0b"])
async def test_no_path_leads_out(sources: SourceStore, outside: Folder, path: str) -> None:
    (outside.root / "a").mkdir()
    assert await refused(sources, outside.source, path) == "source_object_gone"


async def test_only_files_are_listed_and_nothing_waits_for_a_pipe(
    sources: SourceStore, outside: Folder
) -> None:
    os.mkfifo(outside.root / "pipe")
    (outside.root / "empty").mkdir()
    assert await listed(sources, outside.source) == {}
    for path in ("pipe", "empty"):
        copying = refused(sources, outside.source, path)
        assert await asyncio.wait_for(copying, 10) == "source_object_gone"


async def test_unfinished_writes_are_not_listed(sources: SourceStore, outside: Folder) -> None:
    for name in ("a.pdf", "a.pdf#1", "C#.pdf", "b#x1", "c#"):
        await outside.put(name, b"x")
    assert set(await listed(sources, outside.source)) == {"a.pdf", "C#.pdf", "b#x1", "c#"}


async def test_a_name_that_is_no_text_is_left_out(sources: SourceStore, outside: Folder) -> None:
    await outside.put("a", b"x")
    (outside.root / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    assert set(await listed(sources, outside.source)) == {"a"}


@pytest.mark.parametrize("is_back_empty", [True, False])
async def test_a_folder_that_goes_while_it_is_listed_is_no_short_listing(
    sources: SourceStore, outside: Folder, *, is_back_empty: bool
) -> None:
    for n in range(1500):
        (outside.root / str(n)).write_bytes(b"x")
    seen = 0
    with pytest.raises(SourceError) as caught:  # noqa: PT012 - it is raised in the middle
        async for page in sources.listing(outside.source):
            seen += len(page)
            if outside.root.exists():
                outside.root.rename(outside.root.with_name("unmounted"))
                if is_back_empty:
                    outside.root.mkdir()
    assert caught.value.code == "source_unavailable"
    assert seen >= 1000


async def test_what_is_removed_while_it_is_listed_is_left_out(
    sources: SourceStore, outside: Folder
) -> None:
    for n in range(1500):
        await outside.put(f"{n}/{n}", b"x")
    seen: set[str] = set()
    async for page in sources.listing(outside.source):
        if not seen:
            seen |= {each.path for each in page}
            for name in {str(n) for n in range(1500)} - {path.split("/")[0] for path in seen}:
                await outside.remove(f"{name}/{name}")
                (outside.root / name).rmdir()
        seen |= {each.path for each in page}
    assert 1000 <= len(seen) <= 1001


async def test_a_file_that_grows_while_it_is_read_is_not_read_for_ever(
    opened: Callable[[ObjectStore], Sources], outside: Folder, tmp_path: Path
) -> None:
    async def grow() -> None:
        with (outside.root / "log").open("ab") as file:
            file.write(bytes(MIB))

    meddled = MeddledStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/own"))
    meddled.meddle = grow
    await outside.put("log", bytes(8 * MIB))
    with pytest.raises(KartotekaError) as caught:
        await opened(meddled).copy(outside.source, "log", to_key="bodies/copy")
    assert caught.value.code == "source_object_unreadable"
    assert await meddled.keys("bodies") == []


async def test_a_cancelled_copy_leaves_nothing(
    opened: Callable[[ObjectStore], Sources], outside: Folder, tmp_path: Path
) -> None:
    half_way = asyncio.Event()

    async def stick() -> None:
        half_way.set()
        await asyncio.Event().wait()

    meddled = MeddledStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/own"))
    meddled.meddle = stick
    await outside.put("a", bytes(8 * MIB))
    copying = asyncio.ensure_future(opened(meddled).copy(outside.source, "a", to_key="bodies/copy"))
    await asyncio.wait_for(half_way.wait(), 10)
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert await meddled.keys("bodies") == []


def test_a_large_copy_takes_little_memory(tmp_path: Path, outside: Folder) -> None:
    size = 128 * MIB
    with (outside.root / "large").open("wb") as file:
        file.truncate(size)
    told = json.dumps({"allowed": outside.source.url, "own": f"file://{tmp_path}/own"})
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, told], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["sha256"] == hashlib.sha256(bytes(size)).hexdigest()
    assert answer["growth"] <= size // 2


_MEASURE: Final = """
import asyncio, json, resource, sys
from embedder.adapters.source_store import OutsideSources
from kartoteka_contracts.cabinets import Source
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_runtime.source_settings import SourceSettings

told = json.loads(sys.argv[1])
objects = ObjectStore.open(ObjectStoreSettings(url=told["own"]))
sources = OutsideSources(SourceSettings(allowed_urls=(told["allowed"],)), objects)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main():
    await objects.probe()
    before = peak()
    source = Source(name="large", url=told["allowed"])
    copied = await sources.copy(source, "large", to_key="bodies/large")
    print(json.dumps({"sha256": copied.sha256, "growth": peak() - before}))

asyncio.run(main())
"""
