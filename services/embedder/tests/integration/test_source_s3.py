"""The suite of sources on a real S3 service, and how such a service refuses and goes away."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import obstore
import pytest
from obstore.store import S3Store

from embedder.adapters.source_store import OutsideSources
from embedder.planner_ports import SourceError, SourceStore
from kartoteka_contracts.cabinets import Source
from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_runtime.source_settings import SourceSettings
from kartoteka_testkit.s3_server import S3Server, running_s3_server
from kartoteka_testkit.suites.sources import MOST_BYTES, Outside, SourcesSuite, listed
from kartoteka_testkit.tcp_proxy import TcpProxy

pytestmark = pytest.mark.integration

BUCKET: Final = "outside"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


class Bucket(Outside):
    """A prefix of a bucket, asked for through a proxy that counts."""

    def __init__(self, server: S3Server, proxy: TcpProxy, folder: Path) -> None:
        self.prefix = f"runs/{uuid4()}"
        self.proxy = proxy
        self.file = folder / "credentials.json"
        good = server.settings()
        assert good.secret_access_key is not None
        assert good.access_key_id is not None
        self.credentials = {
            "access_key_id": good.access_key_id,
            "secret_access_key": good.secret_access_key.get_secret_value(),
            "endpoint": proxy.url,
            "allow_http": True,
        }
        self.configure(team=self.credentials)
        self.settings = SourceSettings(
            allowed_urls=(f"s3://{BUCKET}/{self.prefix}/team%20docs", "s3://lost-bucket"),
            credentials_file=self.file,
            max_bytes=MOST_BYTES,
        )
        self.source = self.at(f"s3://{BUCKET}/{self.prefix}/team%20docs")
        self.lost = self.at("s3://lost-bucket/team")
        self.forbidden = self.at(f"s3://{BUCKET}/{self.prefix}")
        self.client = S3Store(
            BUCKET,
            region="us-east-1",
            client_options={"allow_http": True},
            config={
                "endpoint": server.endpoint,
                "access_key_id": good.access_key_id,
                "secret_access_key": good.secret_access_key.get_secret_value(),
            },
        )

    @staticmethod
    def at(url: str, credentials: str = "team") -> Source:
        return Source(name="docs", url=url, credentials=credentials)

    def configure(self, **named: dict[str, object]) -> None:
        self.file.write_text(json.dumps(named))

    async def put(self, path: str, data: bytes) -> None:
        await obstore.put_async(
            self.client, f"{self.prefix}/team docs/{path}", data, use_multipart=False
        )

    async def remove(self, path: str) -> None:
        await obstore.delete_async(self.client, f"{self.prefix}/team docs/{path}")

    def bytes_read(self) -> int:
        return self.proxy.answered_bytes


@pytest.fixture
async def outside(s3_server: S3Server, tmp_path: Path) -> AsyncIterator[Bucket]:
    async with TcpProxy(s3_server.endpoint.removeprefix("http://")) as proxy:
        bucket = Bucket(s3_server, proxy, tmp_path)
        # A bucket appears on its first write.
        await obstore.put_async(bucket.client, f"{bucket.prefix}/beside.txt", b"x")
        yield bucket


@pytest.fixture
def opened(outside: Bucket) -> Callable[[ObjectStore], SourceStore]:
    return lambda objects: OutsideSources(outside.settings, objects)


class TestS3(SourcesSuite):
    pass


@pytest.fixture
def sources(opened: Callable[[ObjectStore], SourceStore], tmp_path: Path) -> SourceStore:
    return opened(ObjectStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/own")))


async def failure(sources: SourceStore, source: Source, path: str | None = None) -> KartotekaError:
    asked = (
        listed(sources, source)
        if path is None
        else sources.copy(source, path, to_key="bodies/copy")
    )
    with pytest.raises(KartotekaError) as caught:
        await asked
    return caught.value


async def test_a_prefix_is_of_whole_segments(sources: SourceStore, outside: Bucket) -> None:
    await obstore.put_async(outside.client, f"{outside.prefix}/team docs2/near.txt", b"x")
    await outside.put("a.txt", b"x")
    assert set(await listed(sources, outside.source)) == {"a.txt"}


async def test_what_only_stands_for_a_folder_is_no_document(
    sources: SourceStore, outside: Bucket
) -> None:
    await outside.put("folder/a.txt", b"x")
    await outside.put("empty.txt", b"")
    assert set(await listed(sources, outside.source)) == {"folder/a.txt", "empty.txt"}


async def test_a_revoked_credential_says_so_at_once_and_a_new_one_counts_at_once(
    sources: SourceStore, outside: Bucket
) -> None:
    await outside.put("a.txt", b"x")
    assert set(await listed(sources, outside.source)) == {"a.txt"}
    wrong = uuid4().hex
    for changed in ({"secret_access_key": wrong}, {"access_key_id": wrong}):
        outside.configure(team={**outside.credentials, **changed})
        for path in (None, "a.txt"):
            began = time.monotonic()
            error = await failure(sources, outside.source, path)
            assert error.code == "source_unavailable"
            assert "the credentials 'team' must be valid" in error.message
            assert "403" in error.message
            assert wrong not in error.message
            assert time.monotonic() - began < 5
    outside.configure(team=outside.credentials)
    assert set(await listed(sources, outside.source)) == {"a.txt"}


async def test_a_missing_bucket_is_told_from_a_missing_object(
    sources: SourceStore, outside: Bucket
) -> None:
    await outside.put("a.txt", b"x")
    error = await failure(sources, outside.lost)
    assert "create the bucket 'lost-bucket'" in error.message
    assert (await failure(sources, outside.lost, "a.txt")).code == "source_unavailable"
    assert (await failure(sources, outside.source, "none")).code == "source_object_gone"


async def test_a_listing_that_breaks_in_the_middle_is_no_short_listing(
    sources: SourceStore, outside: Bucket
) -> None:
    for n in range(2500):
        await outside.put(f"{n:04d}", b"x")
    seen = 0
    with pytest.raises(SourceError) as caught:  # noqa: PT012 - it is raised in the middle
        async for page in sources.listing(outside.source):
            seen += len(page)
            outside.proxy.target = "127.0.0.1:1"
            outside.proxy.cut()
    assert caught.value.code == "source_unavailable"
    assert 1000 <= seen < 2500


async def test_a_service_that_is_away_fails_in_bounded_time(
    sources: SourceStore, outside: Bucket
) -> None:
    await outside.put("a.txt", b"x")
    outside.proxy.target = "127.0.0.1:1"
    outside.proxy.cut()
    for path in (None, "a.txt"):
        began = time.monotonic()
        error = await failure(sources, outside.source, path)
        assert error.code == "source_unavailable"
        assert "endpoint" in error.message
        assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("{", "SOURCE_CREDENTIALS_FILE is wrong"),
        ("{}", "has no credentials 'team'"),
        ('{"team": {"access_key_id": "k"}}', "team.secret_access_key"),
        (
            '{"team": {"access_key_id": "k", "secret_access_key": "hush", "endpoint": "http://h"}}',
            "allow_http",
        ),
    ],
)
async def test_credentials_that_are_not_there_are_named(
    sources: SourceStore, outside: Bucket, content: str | None, told: str
) -> None:
    outside.file.unlink()
    if content is not None:
        outside.file.write_text(content)
    error = await failure(sources, outside.source)
    assert error.code == "source_unavailable"
    assert told in error.message
    assert "hush" not in error.message


async def test_credentials_without_a_file_are_asked_for(outside: Bucket, tmp_path: Path) -> None:
    settings = outside.settings.model_copy(update={"credentials_file": None})
    objects = ObjectStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/own"))
    error = await failure(OutsideSources(settings, objects), outside.source)
    assert "no SOURCE_CREDENTIALS_FILE is set" in error.message
