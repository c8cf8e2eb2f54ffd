"""A source that is a bucket: S3 and what speaks it; the clouds of ``gs://`` and ``az://`` untested.

An object is read in parts, each of the version that the first answer told, so that no request
lasts longer than a part takes and a change in between is noticed.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store, from_url

from embedder.adapters.source_credentials import SourceCredentials
from embedder.adapters.source_reading import (
    ChangedMeanwhileError,
    Reading,
    away,
    gone,
    unreadable,
)
from embedder.planner_ports import ListedObject
from kartoteka_runtime.source_settings import SourceUrl

if TYPE_CHECKING:  # they are not there at run time
    from obstore import GetOptions, ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

__all__ = ["BucketPlace", "open_bucket"]

_PAGE: Final = 1000
_PART_BYTES: Final = 8 * 1024 * 1024
_LOOKS_AT_ONCE: Final = 16
_REQUEST: Final = timedelta(seconds=30)
_CONNECT: Final = timedelta(seconds=5)
_RETRY: Final = timedelta(seconds=10)
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w{1,64})</Code>")
_NOT_FOUND: Final = "404"
_REFUSED: Final = frozenset({"401", "403"})


def open_bucket(url: SourceUrl, credentials: SourceCredentials | None) -> "ObjectStore":
    """Open what a URL names; no I/O. Without credentials the platform's own are used.

    Raises:
        SourceError: ``source_unavailable``: it cannot be opened so.
    """
    client: ClientConfig = {"timeout": _REQUEST, "connect_timeout": _CONNECT}
    retry: RetryConfig = {
        "max_retries": 5,
        "retry_timeout": _RETRY,
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=2),
        },
    }
    try:
        if url.scheme == "s3":
            return _s3(url, credentials, client, retry)
        if credentials is None:
            return from_url(str(url), client_options=client, retry_config=retry)
    except (BaseError, ValueError, OSError) as error:
        raise away(f"{url} cannot be opened: correct the URL or its credentials") from error
    raise away(f"{url} takes only the platform's own credentials: name none in the source")


def _s3(
    url: SourceUrl,
    credentials: SourceCredentials | None,
    client: "ClientConfig",
    retry: "RetryConfig",
) -> S3Store:
    config: S3Config = {}
    if credentials is not None:
        config["access_key_id"] = credentials.access_key_id
        config["secret_access_key"] = credentials.secret_access_key.get_secret_value()
        config["region"] = credentials.region
        if credentials.endpoint is not None:
            config["endpoint"] = credentials.endpoint
        if credentials.allow_http:
            client["allow_http"] = True
    return S3Store(
        url.bucket,
        prefix=url.path or None,
        client_options=client,
        retry_config=retry,
        config=config,
    )


class BucketPlace:
    """The objects below a prefix of a bucket.

    Args:
        url: of the source.
        store: opened at that URL.
        access: whose credentials they are, for messages.
    """

    def __init__(self, url: SourceUrl, store: "ObjectStore", access: str) -> None:
        self._url = url
        self._store = store
        self._access = access

    async def pages(self) -> AsyncIterator[list[ListedObject]]:
        """Give the objects; the empty ones that only stand for folders are left out."""
        stream = aiter(obstore.list(self._store, chunk_size=_PAGE))
        while True:
            with self._translated("listed"):
                page = await anext(stream, None)
            if page is None:
                return
            markers = await self._markers([meta["path"] for meta in page if not meta["size"]])
            yield [_listed(meta) for meta in page if meta["path"] not in markers]

    @asynccontextmanager
    async def reading(self, path: str) -> AsyncIterator[Reading]:
        """Open an object; all parts are of one version by its entity tag, size and time."""
        try:
            with self._translated("read"):
                meta = await obstore.head_async(self._store, path)
        except FileNotFoundError as error:
            await self._must_list(path)
            raise gone(path) from error
        except _RefusedError as error:
            await self._must_list(path)
            raise unreadable(path, f"{self._access} may list it and not read it") from error
        yield Reading(stamp=_stamp(meta), size=meta["size"], chunks=self._chunks(path, meta))

    async def _chunks(self, path: str, first: "ObjectMeta") -> AsyncIterator[bytes]:
        for start in range(0, first["size"], _PART_BYTES):
            end = min(start + _PART_BYTES, first["size"])
            try:
                with self._translated("read"):
                    part = await self._part(path, first, start, end)
            except (FileNotFoundError, PreconditionError) as error:
                raise ChangedMeanwhileError from error
            except _RefusedError as error:
                await self._must_list(path)
                raise unreadable(path, f"{self._access} may see it and not read it") from error
            if len(part) != end - start:
                raise ChangedMeanwhileError
            yield part

    async def _part(self, path: str, first: "ObjectMeta", start: int, end: int) -> bytes:
        options: GetOptions = {"range": (start, end)}
        tag = first["e_tag"]
        if tag is not None and not tag.startswith("W/"):  # a weak one matches nothing
            options["if_match"] = tag
        found = await obstore.get_async(self._store, path, options=options)
        if _stamp(found.meta) != _stamp(first):  # of a service that takes no If-Match
            # A traceback would keep it, and with it a connection whose answer nobody reads.
            del found
            raise ChangedMeanwhileError
        return bytes(await found.bytes_async())

    async def _markers(self, empty: list[str]) -> frozenset[str]:
        """Return those that are named with a slash at the end, which a listing does not show."""
        turns = asyncio.Semaphore(_LOOKS_AT_ONCE)

        async def is_marker(path: str) -> bool:
            if not path:
                return True
            async with turns:
                try:
                    with self._translated("read"):
                        await obstore.head_async(self._store, path)
                except FileNotFoundError:
                    return True
                except _RefusedError:  # may be listed and not read: a copy will say so
                    return False
            return False

        looks = await asyncio.gather(*(is_marker(path) for path in empty))
        return frozenset(path for path, found in zip(empty, looks, strict=True) if found)

    async def _must_list(self, path: str) -> None:
        """Tell a lost object from a lost source, whose answer to a read is the same.

        Raises:
            SourceError: ``source_unavailable``.
        """
        stream = aiter(obstore.list(self._store, path, chunk_size=1))
        try:
            with self._translated("listed"):
                await anext(stream, None)
        except (FileNotFoundError, _RefusedError) as error:
            raise self._away("listed", error.__cause__ or error) from error

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, PreconditionError):
            raise
        except (BaseError, OSError, ValueError) as error:
            if what == "read" and _status(error) in _REFUSED:
                raise _RefusedError from error
            raise self._away(what, error) from error

    def _away(self, what: str, error: BaseException) -> Exception:
        status, code = _status(error), _CODE.search(str(error))
        said = " ".join(part for part in (status, code and code[1]) if part) or "no answer"
        if status in _REFUSED:
            advice = f"{self._access} must be valid, and may list and read it"
        elif status == _NOT_FOUND:
            advice = f"create the bucket {self._url.bucket!r}, or correct the source's URL"
        elif status:
            advice = "see what the service's own log says, and try again"
        else:
            advice = (
                "check that its endpoint can be reached from the embedders, and its keys' names"
            )
        return away(f"{self._url} could not be {what} ({said}): {advice}")


class _RefusedError(Exception):
    """The credentials do not allow it, or are none any more."""


def _status(error: BaseException) -> str | None:
    found = _STATUS.search(str(error))
    return None if found is None else found[1]


def _listed(meta: "ObjectMeta") -> ListedObject:
    return ListedObject(
        path=meta["path"], stamp=_stamp(meta), size=meta["size"], modified=meta["last_modified"]
    )


def _stamp(meta: "ObjectMeta") -> str:
    # Whole seconds: some services tell more in a listing than in an answer's header.
    tag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
    return f"{tag}|{meta['size']}|{int(meta['last_modified'].timestamp()) * 1_000_000}"
