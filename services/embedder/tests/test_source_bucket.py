"""What S3 services do that the one of the other tests does not."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from embedder.adapters.source_store import OutsideSources
from kartoteka_contracts.cabinets import Source
from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_runtime.source_settings import SourceSettings
from kartoteka_testkit.suites.sources import listed

MIB: Final = 1024 * 1024
CHANGED: Final = datetime(2026, 3, 1, 12, 30, 15, 678_000, tzinfo=UTC)


class Service:
    """One bucket whose objects are told in milliseconds, under weak tags, without If-Match."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.refused: set[str] = set()
        """Keys that may be listed and not read."""
        self.changes_after_reads: int | None = None
        self.pages = 1
        self.fails_at_page: int | None = None
        self._reads = 0

    @property
    def tag(self) -> str:
        return f'W/"{self.version}"'

    @property
    def version(self) -> int:
        limit = self.changes_after_reads
        return 0 if limit is None else self._reads // limit

    async def answer(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        if not key:
            return self._list(request)
        if key in self.refused:
            return web.Response(status=403)
        if key not in self.objects:
            return web.Response(status=404)
        headers = {"ETag": self.tag, "Last-Modified": format_datetime(CHANGED, usegmt=True)}
        data = self.objects[key]
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(data))})
        self._reads += 1
        start, end = (int(n) for n in request.headers["Range"].removeprefix("bytes=").split("-"))
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        return web.Response(status=206, body=data[start : end + 1], headers=headers)

    def _list(self, request: web.Request) -> web.Response:
        page = int(request.query.get("continuation-token", "0"))
        if page == self.fails_at_page:
            return web.Response(status=403, text="<Error><Code>ExpiredToken</Code></Error>")
        keys = [key for n, key in enumerate(sorted(self.objects)) if n % self.pages == page]
        keys += sorted(self.refused) if page == 0 else []
        return web.Response(
            content_type="application/xml",
            text="<ListBucketResult>"
            + "".join(map(self._entry, keys))
            + (
                f"<NextContinuationToken>{page + 1}</NextContinuationToken>"
                if page + 1 < self.pages
                else ""
            )
            + "</ListBucketResult>",
        )

    def _entry(self, key: str) -> str:
        return (
            f"<Contents><Key>{escape(key)}</Key><ETag>{escape(self.tag)}</ETag>"
            f"<Size>{len(self.objects.get(key, b''))}</Size>"
            f"<LastModified>{CHANGED.isoformat(timespec='milliseconds')[:-6]}Z</LastModified>"
            "</Contents>"
        )


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def sources(service: Service, tmp_path: Path) -> AsyncIterator[OutsideSources]:
    app = web.Application()
    app.router.add_route("*", "/bucket{slash:/?}{key:.*}", service.answer)
    async with TestServer(app) as server:
        file = tmp_path / "credentials.json"
        keys = {"access_key_id": "k", "secret_access_key": "s", "allow_http": True}
        file.write_text(json.dumps({"team": {**keys, "endpoint": str(server.make_url("/"))[:-1]}}))
        settings = SourceSettings(allowed_urls=("s3://bucket", "gs://b"), credentials_file=file)
        own = ObjectStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/own"))
        yield OutsideSources(settings, own)


SOURCE: Final = Source(name="docs", url="s3://bucket", credentials="team")


async def failure(sources: OutsideSources, path: str) -> KartotekaError:
    with pytest.raises(KartotekaError) as caught:
        await sources.copy(SOURCE, path, to_key="bodies/copy")
    return caught.value


async def test_an_empty_object_that_stands_for_a_folder_is_left_out(
    sources: OutsideSources, service: Service
) -> None:
    service.objects = {"docs/": b"", "docs/empty.txt": b"", "docs/a.txt": b"x", "alone/": b""}
    assert set(await listed(sources, SOURCE)) == {"docs/empty.txt", "docs/a.txt"}


async def test_the_stamp_of_a_copy_is_the_listed_one_though_headers_tell_less(
    sources: OutsideSources, service: Service
) -> None:
    service.objects = {"a.txt": b"hello"}
    found = (await listed(sources, SOURCE))["a.txt"]
    assert found.modified == CHANGED
    copied = await sources.copy(SOURCE, "a.txt", to_key="bodies/copy")
    assert copied.stamp == found.stamp


async def test_a_change_is_seen_where_the_service_takes_no_if_match(
    sources: OutsideSources, service: Service
) -> None:
    service.objects = {"a.txt": bytes(20 * MIB)}
    service.changes_after_reads = 2
    assert (await failure(sources, "a.txt")).code == "source_object_unreadable"


async def test_an_object_that_may_only_be_listed_is_no_lost_source(
    sources: OutsideSources, service: Service
) -> None:
    service.objects, service.refused = {"a.txt": b"x"}, {"secret.txt"}
    assert set(await listed(sources, SOURCE)) == {"a.txt", "secret.txt"}
    error = await failure(sources, "secret.txt")
    assert error.code == "source_object_unreadable"
    assert "the credentials 'team' may list it and not read it" in error.message


async def test_credentials_that_end_between_two_pages_end_no_listing(
    sources: OutsideSources, service: Service
) -> None:
    service.objects = {f"{n}.txt": b"x" for n in range(9)}
    service.pages = 3
    assert len(await listed(sources, SOURCE)) == 9
    service.fails_at_page = 2
    with pytest.raises(KartotekaError, match="ExpiredToken") as caught:
        await listed(sources, SOURCE)
    assert caught.value.code == "source_unavailable"


async def test_a_key_that_is_no_path_is_told(sources: OutsideSources, service: Service) -> None:
    service.objects = {"a//b.txt": b"x", "c.txt": b"x"}
    with pytest.raises(KartotekaError, match="names") as caught:
        await listed(sources, SOURCE)
    assert caught.value.code == "source_unavailable"


async def test_other_clouds_take_no_named_credentials(sources: OutsideSources) -> None:
    with pytest.raises(KartotekaError, match="name none in the source") as caught:
        await listed(sources, Source(name="g", url="gs://b/c", credentials="team"))
    assert caught.value.code == "source_unavailable"
