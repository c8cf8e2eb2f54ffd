"""Listings page by page."""

from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import pytest
from pydantic import SecretStr

from kartoteka_contracts.errors import UnavailableError
from kartoteka_runtime.object_listing import ListingStore
from kartoteka_runtime.objects import ObjectStoreSettings


@pytest.fixture
def store(tmp_path: Path) -> ListingStore:
    return ListingStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/objects"))


async def test_pages_have_every_object_with_its_time_and_folders_hang_together(
    store: ListingStore,
) -> None:
    keys = {f"a/{folder:03d}/{n}.json" for folder in range(300) for n in range(5)}
    for key in sorted(keys, key=hash):
        await store.create(key, b"x")
    await store.create("b/other", b"x")
    pages = [page async for page in store.pages("a/")]
    assert len(pages) == 2
    found = [one for page in pages for one in page]
    assert {one.key for one in found} == keys
    folders = [folder for folder, _ in groupby(found, key=lambda one: one.key.split("/")[1])]
    assert len(folders) == 300
    assert all(abs(one.modified - datetime.now(UTC)) < timedelta(minutes=1) for one in found)


async def test_nothing_there_is_no_page(store: ListingStore) -> None:
    assert [page async for page in store.pages("nothing/")] == []
    assert await store.folders("nothing/") == []


async def test_folders_are_those_right_below(store: ListingStore) -> None:
    for key in ("cabinets/7/records/x/1", "cabinets/12/bodies/y/1", "cabinets/file", "other/3/x"):
        await store.create(key, b"x")
    assert await store.folders("cabinets/") == ["12", "7"]


async def test_a_store_that_is_away_says_so() -> None:
    store = ListingStore.open(
        ObjectStoreSettings(
            url="s3://bucket/prefix",
            endpoint="http://127.0.0.1:1",
            allow_http=True,
            access_key_id="key",
            secret_access_key=SecretStr("none"),
            retry_timeout=0,
        )
    )
    with pytest.raises(UnavailableError):
        [page async for page in store.pages("a/")]
    with pytest.raises(UnavailableError):
        await store.folders("a/")
