"""What every object store promises; run on a folder and on S3."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from kartoteka_contracts.errors import KartotekaError, RequestError
from kartoteka_runtime.objects import (
    ObjectCorruptError,
    ObjectMissingError,
    ObjectStore,
    ObjectStoreSettings,
)

__all__ = ["ObjectStoreSuite", "in_chunks"]

MIB: Final = 1024 * 1024


async def in_chunks(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """Give a body as an upload gives it: piece by piece."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def broken_off(data: bytes) -> AsyncIterator[bytes]:
    async for chunk in in_chunks(data):
        yield chunk
    raise RequestError("upload_too_large")


class ObjectStoreSuite:
    """Subclass it and give the fixture ``store_settings``."""

    @pytest.fixture
    def store(self, store_settings: ObjectStoreSettings) -> ObjectStore:
        return ObjectStore.open(store_settings)

    @pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1, 12 * MIB])
    async def test_what_was_written_is_read(self, store: ObjectStore, size: int) -> None:
        data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
        assert await store.write("bodies/one", in_chunks(data)) == size
        assert await store.read("bodies/one") == data

    async def test_a_download_is_what_was_written(self, store: ObjectStore, tmp_path: Path) -> None:
        data = bytes(range(256)) * 4096 * 3
        await store.write("bodies/one", in_chunks(data))
        assert await store.download("bodies/one", tmp_path / "body") == len(data)
        assert (tmp_path / "body").read_bytes() == data

    async def test_a_download_is_checked_against_what_was_put_there(
        self, store: ObjectStore, tmp_path: Path
    ) -> None:
        data, to = bytes(range(256)) * 4096 * 3, tmp_path / "body"
        right = hashlib.sha256(data).hexdigest()
        await store.write("bodies/one", in_chunks(data))
        assert await store.download("bodies/one", to, size=len(data), sha256=right) == len(data)
        for size, sha256 in ((len(data) - 1, right), (len(data), hashlib.sha256().hexdigest())):
            with pytest.raises(ObjectCorruptError) as caught:
                await store.download("bodies/one", to, size=size, sha256=sha256)
            assert caught.value.code == "body_corrupt"
            assert not caught.value.retriable

    @pytest.mark.parametrize("size", [100, 12 * MIB])
    async def test_an_upload_that_breaks_off_leaves_nothing(
        self, store: ObjectStore, size: int
    ) -> None:
        with pytest.raises(RequestError) as caught:
            await store.write("bodies/half", broken_off(bytes(size)))
        assert caught.value.code == "upload_too_large"
        assert await store.keys("bodies") == []
        with pytest.raises(ObjectMissingError):
            await store.read("bodies/half")

    async def test_an_upload_is_not_seen_before_its_end(self, store: ObjectStore) -> None:
        seen: list[list[str]] = []

        async def watched() -> AsyncIterator[bytes]:
            for _ in range(12):
                seen.append(await store.keys("bodies"))
                yield bytes(MIB)

        await store.write("bodies/slow", watched())
        assert seen == [[]] * 12
        assert await store.keys("bodies") == ["bodies/slow"]

    async def test_a_cancelled_upload_is_never_seen(self, store: ObjectStore) -> None:
        half_way = asyncio.Event()

        async def stuck() -> AsyncIterator[bytes]:
            yield bytes(8 * MIB)
            half_way.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(store.write("bodies/cut", stuck()))
        await asyncio.wait_for(half_way.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await store.keys("bodies") == []

    async def test_only_the_first_creates(self, store: ObjectStore) -> None:
        assert await store.create("records/1", b"first")
        assert not await store.create("records/1", b"second")
        assert await store.read("records/1") == b"first"

    async def test_of_fifty_racing_creators_exactly_one_wins(self, store: ObjectStore) -> None:
        won = await asyncio.gather(*(store.create("records/1", b"%d" % n) for n in range(50)))
        assert won.count(True) == 1
        assert await store.read("records/1") == b"%d" % won.index(True)

    async def test_a_missing_key_is_named(self, store: ObjectStore, tmp_path: Path) -> None:
        with pytest.raises(ObjectMissingError, match="bodies/none") as caught:
            await store.read("bodies/none")
        assert caught.value.code == "body_missing"
        with pytest.raises(ObjectMissingError):
            await store.download("bodies/none", tmp_path / "body")

    @pytest.mark.parametrize("key", ["../up", "a//b", "a/./b", "a\ud800"])
    async def test_what_can_be_no_key_is_not_waited_for(
        self, store: ObjectStore, tmp_path: Path, key: str
    ) -> None:
        with pytest.raises(KartotekaError) as caught:
            await store.download(key, tmp_path / "body")
        assert not caught.value.retriable

    async def test_keys_are_sorted_and_of_whole_segments(self, store: ObjectStore) -> None:
        for key in ("a/2/y", "a/10/x", "a/1/z", "a/1/b", "b/1"):
            assert await store.create(key, b"")
        assert await store.keys("a/1") == ["a/1/b", "a/1/z"]
        assert await store.keys("a/1/") == ["a/1/b", "a/1/z"]
        assert await store.keys("a") == ["a/1/b", "a/1/z", "a/10/x", "a/2/y"]
        assert await store.keys("none") == []
        assert {key async for key in store.each_key("a/1")} == {"a/1/b", "a/1/z"}

    async def test_more_keys_than_one_page(self, store: ObjectStore) -> None:
        names = [f"many/{n:04d}" for n in range(1100)]
        for start in range(0, len(names), 100):
            await asyncio.gather(*(store.create(key, b"x") for key in names[start : start + 100]))
        assert await store.keys("many") == names
        await store.delete(names)
        assert await store.keys("many") == []

    async def test_deleting_what_is_not_there_is_fine(self, store: ObjectStore) -> None:
        await store.create("bodies/1", b"x")
        await store.delete(["bodies/0", "bodies/1", "bodies/2"])
        await store.delete([])
        assert await store.keys("bodies") == []

    async def test_an_object_exists_from_its_creation_to_its_deletion(
        self, store: ObjectStore
    ) -> None:
        found = [await store.exists("marks/one.cancelled")]
        await store.create("marks/one.cancelled", b"")
        found.append(await store.exists("marks/one.cancelled"))
        found.append(await store.exists("marks"))
        await store.delete(["marks/one.cancelled"])
        found.append(await store.exists("marks/one.cancelled"))
        assert found == [False, True, False, False]

    async def test_the_probe_passes_and_leaves_nothing(self, store: ObjectStore) -> None:
        await store.probe()
        assert await store.keys("probes") == []

    def test_a_large_body_takes_little_memory(
        self, store_settings: ObjectStoreSettings, tmp_path: Path
    ) -> None:
        size = 96 * MIB
        settings = store_settings.model_dump(mode="json")
        if store_settings.secret_access_key is not None:
            settings["secret_access_key"] = store_settings.secret_access_key.get_secret_value()
        told = json.dumps(
            {"settings": settings, "size": size, "key": f"b/{uuid4()}", "to": str(tmp_path / "b")}
        )
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, told], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["sha256"] == hashlib.sha256(bytes(size)).hexdigest()
        assert answer["write_growth"] <= 16 * MIB
        assert answer["download_growth"] <= 16 * MIB


_MEASURE: Final = """
import asyncio, hashlib, json, resource, sys
from pathlib import Path
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings

told = json.loads(sys.argv[1])
store = ObjectStore.open(ObjectStoreSettings(**told["settings"]))
block = bytes(64 * 1024)

async def body(size):
    for _ in range(size // len(block)):
        yield block

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main():
    await store.probe()
    to = Path(told["to"])
    await store.create(told["key"] + "-small", b"x")
    await store.download(told["key"] + "-small", to)
    before = peak()
    assert await store.write(told["key"], body(told["size"])) == told["size"]
    written = peak()
    assert await store.download(told["key"], to) == told["size"]
    downloaded = peak()
    digest = hashlib.sha256()
    with to.open("rb") as file:
        while piece := file.read(1024 * 1024):
            digest.update(piece)
    print(json.dumps({"write_growth": written - before, "download_growth": downloaded - written,
                      "sha256": digest.hexdigest()}))

asyncio.run(main())
"""
