"""What every kind of source promises; run on a folder and on S3."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import pytest

from kartoteka_contracts.cabinets import Source
from kartoteka_contracts.errors import KartotekaError, UnavailableError
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings

__all__ = ["MOST_BYTES", "Copied", "Listed", "Outside", "Sources", "SourcesSuite", "listed"]

MIB: Final = 1024 * 1024
MOST_BYTES: Final = 32 * MIB
"""The limit that the stores under test must be given."""
_KEY: Final = "bodies/copy"


class Listed(Protocol):
    """What a listing tells of an object."""

    @property
    def path(self) -> str: ...
    @property
    def stamp(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def modified(self) -> datetime: ...


class Copied(Protocol):
    """What a copy tells of itself."""

    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def media_type(self) -> str: ...
    @property
    def stamp(self) -> str: ...


class Sources(Protocol):
    """The store under test."""

    def listing(self, source: Source) -> AsyncIterator[Sequence[Listed]]:
        """Give a source's objects."""
        ...

    async def copy(self, source: Source, listed_path: str, *, to_key: str) -> Copied:
        """Copy one into our own storage."""
        ...


class Outside(ABC):
    """A place outside that the suite fills."""

    source: Source
    """All that is in it."""
    lost: Source
    """An allowed one whose folder or bucket is not there."""
    forbidden: Source
    """One that is there and not allowed."""

    @abstractmethod
    async def put(self, path: str, data: bytes) -> None:
        """Make or replace an object; the place tells two contents apart."""

    @abstractmethod
    async def remove(self, path: str) -> None:
        """Remove an object."""

    @abstractmethod
    def bytes_read(self) -> int:
        """Return how many bytes were read from the place so far, or more."""


class MeddledStore(ObjectStore):
    """Our own storage, with something happening outside after a copy's first chunk."""

    meddle: Callable[[], Awaitable[None]]

    async def write(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        async def meddled() -> AsyncIterator[bytes]:
            yield await anext(chunks)
            await self.meddle()
            async for chunk in chunks:
                yield chunk

        return await super().write(key, meddled())


async def listed(sources: Sources, source: Source) -> dict[str, Listed]:
    """Return all that a listing gives, by path."""
    return {found.path: found async for page in sources.listing(source) for found in page}


class SourcesSuite:
    """Subclass it and give the fixtures ``outside`` and ``opened``.

    ``opened`` makes the store under test over one of our own object storages.
    """

    @pytest.fixture
    def own(self, tmp_path: Path) -> ObjectStoreSettings:
        return ObjectStoreSettings(url=f"file://{tmp_path}/own")

    @pytest.fixture
    def objects(self, own: ObjectStoreSettings) -> ObjectStore:
        return ObjectStore.open(own)

    @pytest.fixture
    def meddled(self, own: ObjectStoreSettings) -> MeddledStore:
        return MeddledStore.open(own)

    @pytest.fixture
    def sources(self, opened: Callable[[ObjectStore], Sources], objects: ObjectStore) -> Sources:
        return opened(objects)

    async def test_a_listing_tells_every_object(self, sources: Sources, outside: Outside) -> None:
        contents = {
            "a.txt": b"a",
            "deep/er/b.md": b"bb",
            "deep/c d é.txt": b"ccc",
            "50%.txt": b"dddd",
            "C# 2.txt": b"eeeee",
            ".hidden": b"ffffff",
        }
        for path, data in contents.items():
            await outside.put(path, data)
        found = await listed(sources, outside.source)
        assert {path: each.size for path, each in found.items()} == {
            path: len(data) for path, data in contents.items()
        }
        assert len({each.stamp for each in found.values()}) == len(contents)
        for each in found.values():
            assert abs(each.modified - datetime.now(UTC)) < timedelta(hours=1)

    async def test_nothing_there_lists_nothing(self, sources: Sources, outside: Outside) -> None:
        assert await listed(sources, outside.source) == {}

    async def test_patterns_choose(self, sources: Sources, outside: Outside) -> None:
        for path in ("a.md", "docs/b.md", "docs/drafts/c.md", "docs/d.txt"):
            await outside.put(path, b"x")
        chosen = outside.source.model_copy(
            update={"include": ("**/*.md",), "exclude": ("**/drafts/**",)}
        )
        assert set(await listed(sources, chosen)) == {"a.md", "docs/b.md"}

    async def test_more_objects_than_one_page(self, sources: Sources, outside: Outside) -> None:
        names = {f"many/{n:04d}" for n in range(1050)}
        for name in names:
            await outside.put(name, b"x")
        assert set(await listed(sources, outside.source)) == names

    async def test_a_listing_downloads_nothing(self, sources: Sources, outside: Outside) -> None:
        for n in range(3):
            await outside.put(f"{n}.bin", bytes(8 * MIB))
        before = outside.bytes_read()
        assert len(await listed(sources, outside.source)) == 3
        assert outside.bytes_read() - before < MIB

    async def test_a_stamp_changes_with_the_content_alone(
        self, sources: Sources, outside: Outside
    ) -> None:
        for path in ("same", "other"):
            await outside.put(path, b"one")
        first = await listed(sources, outside.source)
        await outside.put("other", b"two")
        second = await listed(sources, outside.source)
        assert second["same"].stamp == first["same"].stamp
        assert second["other"].stamp != first["other"].stamp

    @pytest.mark.parametrize("size", [0, 1, 5 * MIB, 8 * MIB, 20 * MIB + 7])
    async def test_a_copy_is_the_object(
        self, sources: Sources, outside: Outside, objects: ObjectStore, size: int
    ) -> None:
        data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
        await outside.put("deep/c d é 50%.txt", data)
        (found,) = (await listed(sources, outside.source)).values()
        copied = await sources.copy(outside.source, found.path, to_key=_KEY)
        assert (copied.size, copied.sha256) == (size, hashlib.sha256(data).hexdigest())
        assert copied.stamp == found.stamp
        assert await objects.read(_KEY) == data

    @pytest.mark.parametrize(
        ("path", "data", "media_type"),
        [
            ("a.txt", b"%PDF-1.7\n" + bytes(MIB), "application/pdf"),
            ("docs/read.md", b"# Title", "text/markdown"),
            ("page", b"<!doctype html><p>x", "text/html"),
            ("a.md", b"\x89PNG\r\n\x1a\n", "image/png"),
        ],
    )
    async def test_the_content_says_what_it_is(
        self, sources: Sources, outside: Outside, path: str, data: bytes, media_type: str
    ) -> None:
        await outside.put(path, data)
        copied = await sources.copy(outside.source, path, to_key=_KEY)
        assert copied.media_type == media_type

    @pytest.mark.parametrize("path", ["none", "a/none", "a.txt/none"])
    async def test_what_is_gone_is_gone(
        self, sources: Sources, outside: Outside, objects: ObjectStore, path: str
    ) -> None:
        await outside.put("a.txt", b"x")
        with pytest.raises(KartotekaError, match="none") as caught:
            await sources.copy(outside.source, path, to_key=_KEY)
        assert caught.value.code == "source_object_gone"
        assert await objects.keys("bodies") == []

    async def test_what_is_too_large_is_not_read(
        self, sources: Sources, outside: Outside, objects: ObjectStore
    ) -> None:
        await outside.put("large", bytes(MOST_BYTES + 1))
        before = outside.bytes_read()
        with pytest.raises(KartotekaError, match="large") as caught:
            await sources.copy(outside.source, "large", to_key=_KEY)
        assert caught.value.code == "source_object_too_large"
        assert outside.bytes_read() - before < MIB
        assert await objects.keys("bodies") == []

    async def test_what_changes_once_while_it_is_read_is_copied_as_it_is_then(
        self,
        opened: Callable[[ObjectStore], Sources],
        outside: Outside,
        meddled: MeddledStore,
    ) -> None:
        later = b"2" * (20 * MIB)

        async def change_once() -> None:
            if not done:
                done.append(True)
                await outside.put("moving", later)

        done: list[bool] = []
        meddled.meddle = change_once
        await outside.put("moving", b"1" * (20 * MIB))
        sources = opened(meddled)
        copied = await sources.copy(outside.source, "moving", to_key=_KEY)
        assert copied.sha256 == hashlib.sha256(later).hexdigest()
        assert copied.stamp == (await listed(sources, outside.source))["moving"].stamp
        assert await meddled.read(_KEY) == later

    async def test_what_changes_all_the_time_is_not_copied_in_pieces(
        self,
        opened: Callable[[ObjectStore], Sources],
        outside: Outside,
        meddled: MeddledStore,
    ) -> None:
        async def change() -> None:
            changes.append(1)
            await outside.put("moving", b"%d" % len(changes) * (20 * MIB))

        changes: list[int] = []
        meddled.meddle = change
        await outside.put("moving", b"0" * (20 * MIB))
        with pytest.raises(KartotekaError, match="moving") as caught:
            await opened(meddled).copy(outside.source, "moving", to_key=_KEY)
        assert caught.value.code == "source_object_unreadable"
        assert len(changes) == 2
        assert await meddled.keys("bodies") == []

    async def test_what_is_removed_while_it_is_read_is_gone(
        self,
        opened: Callable[[ObjectStore], Sources],
        outside: Outside,
        meddled: MeddledStore,
    ) -> None:
        async def remove() -> None:
            await outside.remove("going")

        meddled.meddle = remove
        await outside.put("going", bytes(20 * MIB))
        with pytest.raises(KartotekaError, match="going") as caught:
            await opened(meddled).copy(outside.source, "going", to_key=_KEY)
        assert caught.value.code == "source_object_gone"
        assert await meddled.keys("bodies") == []

    async def test_our_own_storage_away_is_no_fault_of_the_source(
        self, sources: Sources, outside: Outside, objects: ObjectStore, tmp_path: Path
    ) -> None:
        assert await objects.keys("") == []
        (tmp_path / "own").rmdir()
        (tmp_path / "own").write_bytes(b"a file where the folder was")
        for size in (10, 20 * MIB):
            await outside.put("a", bytes(size))
            with pytest.raises(UnavailableError) as caught:
                await sources.copy(outside.source, "a", to_key=_KEY)
            assert caught.value.code == "object_store_unavailable"

    async def test_a_place_that_is_not_there_is_no_empty_place(
        self, sources: Sources, outside: Outside
    ) -> None:
        with pytest.raises(KartotekaError, match="correct the") as caught:
            await listed(sources, outside.lost)
        assert caught.value.code == "source_unavailable"
        with pytest.raises(KartotekaError, match="correct the") as caught:
            await sources.copy(outside.lost, "a", to_key=_KEY)
        assert caught.value.code == "source_unavailable"

    async def test_a_place_that_nobody_allows_is_not_touched(
        self, sources: Sources, outside: Outside
    ) -> None:
        with pytest.raises(KartotekaError, match="SOURCE_ALLOWED_URLS") as caught:
            await listed(sources, outside.forbidden)
        assert caught.value.code == "source_not_allowed"
        with pytest.raises(KartotekaError, match="SOURCE_ALLOWED_URLS") as caught:
            await sources.copy(outside.forbidden, "a", to_key=_KEY)
        assert caught.value.code == "source_not_allowed"
