"""Object storage: a folder or an S3 bucket, behind one set of promises.

An object is visible whole or not at all, and of many writers that create the same key exactly one
wins. Vendor errors become ``UnavailableError("object_store_unavailable")``.

A multipart upload that a killed process leaves behind stays hidden: give an S3 bucket a lifecycle
rule that ends incomplete uploads. In a folder it is a file with a ``#`` in its name, never listed.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar, Final, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store
from pydantic import Field, SecretStr, model_validator

from kartoteka_contracts.errors import KartotekaError, UnavailableError
from kartoteka_runtime.env import Fragment

if TYPE_CHECKING:  # they are not there at run time
    from obstore.store import ClientConfig, RetryConfig, S3Config

__all__ = ["ObjectCorruptError", "ObjectMissingError", "ObjectStore", "ObjectStoreSettings"]

_PART_BYTES: Final = 5 * 1024 * 1024
"""The smallest part that S3 takes; whatever fits in one is written in one request."""
_PARTS_AT_ONCE: Final = 1
"""Parts on their way while the next one fills: together they bound the memory of a write."""
_READ_BYTES: Final = 1024 * 1024
_SHOWN_CHARACTERS: Final = 300


class ObjectStoreSettings(Fragment):
    """Where bodies and records lie."""

    prefix: ClassVar[str] = "OBJECT_STORE_"

    url: str = Field(pattern=r"^(file:///.|s3://[^/]+)")
    """file:///folder or s3://bucket/prefix. Every service must be given the same."""
    endpoint: str | None = Field(default=None, pattern=r"^https?://")
    """URL of an S3 service other than AWS; it must honour If-None-Match on PUT."""
    region: str = "us-east-1"
    """The bucket's region."""
    access_key_id: str | None = None
    """Access key; without one, the platform's own credentials are used."""
    secret_access_key: SecretStr | None = None
    """The access key's secret."""
    ca_file: Path | None = None
    """PEM file of the authority that signed the endpoint's certificate; the system's when unset."""
    allow_http: bool = False
    """Whether the endpoint may be plain http: bodies then travel in the clear."""
    timeout: float = Field(default=30.0, gt=0, le=600)
    """Seconds for one request to S3: a part of 5 MiB, or a whole download."""
    retry_timeout: float = Field(default=10.0, ge=0, le=180)
    """Seconds for which a request that failed is repeated before the store counts as away."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError(
                "OBJECT_STORE_ACCESS_KEY_ID and OBJECT_STORE_SECRET_ACCESS_KEY must be set together"
            )
        if self.endpoint and self.endpoint.startswith("http://") and not self.allow_http:
            raise ValueError(
                "OBJECT_STORE_ENDPOINT is plain http: use https, or set OBJECT_STORE_ALLOW_HTTP"
            )
        return self


class ObjectMissingError(KartotekaError):
    """There is no object under that key."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__("body_missing", f"object storage has no {key!r}")


class ObjectCorruptError(KartotekaError):
    """There is another object under that key than was put there, in full."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__("body_corrupt", message)


class ObjectStore:
    """Keys to bytes. A key is a path of segments without ``#``, ``.`` and ``..``."""

    def __init__(self, store: S3Store | LocalStore, creating: S3Store | LocalStore) -> None:
        self._store = store
        self._creating = creating

    @classmethod
    def open(cls, settings: ObjectStoreSettings) -> Self:
        """Open a store. No I/O on S3; a folder is created.

        Raises:
            UnavailableError: the folder cannot be made, or the CA file cannot be read.
        """
        parts = urlsplit(settings.url)
        if parts.scheme == "file":
            with _translated("open", settings.url):
                folder = LocalStore(prefix=unquote(parts.path), mkdir=True)
            return cls(folder, folder)
        with _translated("open", settings.url):
            store = _s3(settings, retries=5)
            # Never repeated: a lost answer and a second try would find the object that the first
            # one wrote, and report the winner as a loser.
            return cls(store, _s3(settings, retries=0))

    async def write(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Stream an object in bounded memory; visible whole or not at all.

        An error of ``chunks`` is raised as it is, and nothing is written.

        Returns:
            The size in bytes.

        Raises:
            UnavailableError: object storage is away.
        """
        body = _Body(chunks)
        head = await body.take(_PART_BYTES)
        if body.ended:
            with _translated("write", key):
                await obstore.put_async(self._store, key, head, use_multipart=False)
            return body.size
        try:
            with _translated("write", key):
                await obstore.put_async(
                    self._store,
                    key,
                    body.after(head),
                    use_multipart=True,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                )
        except KartotekaError:
            if body.error is not None:
                raise body.error from None
            raise
        return body.size

    async def create(self, key: str, data: bytes) -> bool:
        """Write a small object unless there is one already, in one request.

        Returns:
            False when there was one.

        Raises:
            UnavailableError: object storage is away; whether the object was written is unknown.
        """
        with _translated("create", key):
            try:
                await obstore.put_async(
                    self._creating, key, data, mode="create", use_multipart=False
                )
            except AlreadyExistsError:
                return False
        return True

    async def read(self, key: str) -> bytes:
        """Return a small object's bytes.

        Raises:
            ObjectMissingError: there is none.
            UnavailableError: object storage is away.
        """
        with _translated("read", key):
            found = await obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())

    async def download(
        self, key: str, to: Path, *, size: int | None = None, sha256: str | None = None
    ) -> int:
        """Stream an object into a file, in bounded memory.

        Args:
            key: of the object.
            to: the file, which is replaced.
            size: bytes that it must have; otherwise none is written.
            sha256: what it must hash to, in hexadecimal digits.

        Returns:
            The size in bytes.

        Raises:
            ObjectMissingError: there is none.
            ObjectCorruptError: it is another one than ``size`` and ``sha256`` say.
            UnavailableError: object storage is away, or ended before the object did.
            OSError: the file cannot be written.
        """
        with _translated("download", key):
            found = await obstore.get_async(self._store, key)
            stream = aiter(found.stream(min_chunk_size=_READ_BYTES))
        whole = found.meta["size"]
        if size is not None and whole != size:
            raise ObjectCorruptError(key, f"the object has {whole} bytes; {size} were put there")
        digest = hashlib.sha256() if sha256 is not None else None
        arrived = 0
        with await asyncio.to_thread(to.open, "wb") as file:
            while True:
                with _translated("download", key):
                    chunk = await anext(stream, None)
                if chunk is None:
                    break
                arrived += await asyncio.to_thread(_keep, memoryview(chunk), file, digest)
        if arrived != whole:
            raise UnavailableError(
                "object_store_unavailable", f"only {arrived} bytes of {key!r} arrived"
            )
        if digest is not None and digest.hexdigest() != sha256:
            raise ObjectCorruptError(key, "the object's SHA-256 is not that of what was put there")
        return arrived

    async def exists(self, key: str) -> bool:
        """Return whether there is an object under a key, in one request.

        Raises:
            UnavailableError: object storage is away.
        """
        try:
            with _translated("look for", key):
                await obstore.head_async(self._store, key)
        except ObjectMissingError:
            return False
        return True

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix of whole segments, sorted.

        Raises:
            UnavailableError: object storage is away.
        """
        return sorted([key async for key in self.each_key(prefix)])

    async def each_key(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys below a prefix of whole segments, in any order and in bounded memory.

        Raises:
            UnavailableError: object storage is away.
        """
        batches = aiter(obstore.list(self._store, prefix))
        while True:
            with _translated("list", prefix):
                batch = await anext(batches, None)
            if batch is None:
                return
            for meta in batch:
                yield meta["path"]

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; absent ones are fine.

        Raises:
            UnavailableError: object storage is away; some may be gone already.
        """
        if not keys:
            return
        with _translated("delete", keys[0]):
            if isinstance(self._store, S3Store):
                await obstore.delete_async(self._store, list(keys))
                return
        for key in keys:
            try:
                with _translated("delete", key):
                    await obstore.delete_async(self._store, key)
            except ObjectMissingError:
                continue

    async def probe(self) -> None:
        """Check that the store can be written, read, and honours create-if-absent.

        Raises:
            KartotekaError: ``internal``: it lets a second writer create the same key.
            UnavailableError: it is away, or refuses us.
        """
        key = f"probes/{uuid4()}"
        first = await self.create(key, b"first")
        second = await self.create(key, b"second")
        held = await self.read(key)
        if not first or second or held != b"first":
            raise KartotekaError(
                "internal",
                "object storage does not honour create-if-absent (If-None-Match: * on PUT), so two "
                "uploads could take one version: use a store that does",
            )
        await self.delete([key])


class _Body:
    """An upload on its way: counted, and its own error kept apart from the store's."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.size = 0
        self.ended = False
        self.error: BaseException | None = None
        self._chunks = chunks

    async def take(self, limit: int) -> bytes:
        """Return what comes until ``limit`` bytes are there, or all where that is less."""
        taken = bytearray()
        while len(taken) <= limit:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                self.ended = True
                break
            taken += chunk
        self.size += len(taken)
        return bytes(taken)

    async def after(self, head: bytes) -> AsyncIterator[bytes]:
        """Give the head, then the rest."""
        yield head
        del head
        try:
            async for chunk in self._chunks:
                self.size += len(chunk)
                yield chunk
        except BaseException as error:
            self.error = error
            raise


def _keep(chunk: memoryview, file: IO[bytes], digest: "hashlib._Hash | None") -> int:
    if digest is not None:
        digest.update(chunk)
    return file.write(chunk)


def _s3(settings: ObjectStoreSettings, *, retries: int) -> S3Store:
    parts = urlsplit(settings.url)
    config: S3Config = {"conditional_put": "etag"}
    if settings.endpoint is not None:
        config["endpoint"] = settings.endpoint
    if settings.access_key_id is not None and settings.secret_access_key is not None:
        config["access_key_id"] = settings.access_key_id
        config["secret_access_key"] = settings.secret_access_key.get_secret_value()
    client: ClientConfig = {
        "timeout": timedelta(seconds=settings.timeout),
        "connect_timeout": timedelta(seconds=min(5.0, settings.timeout)),
    }
    if settings.allow_http:
        client["allow_http"] = True
    if settings.ca_file is not None:
        client["root_certificate"] = settings.ca_file.read_bytes()
    retry: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=settings.retry_timeout),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=2),
        },
    }
    return S3Store(
        parts.netloc,
        prefix=unquote(parts.path).strip("/") or None,
        region=settings.region,
        client_options=client,
        retry_config=retry,
        config=config,
    )


@contextmanager
def _translated(operation: str, key: str) -> Iterator[None]:
    """Turn the vendor's errors into ours, chained."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissingError(key) from error
    except ValueError as error:
        # The store was not even asked: no waiting makes a key of this.
        raise KartotekaError("internal", f"{key!r} is no key of object storage") from error
    except (BaseError, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UnavailableError(
            "object_store_unavailable",
            f"object storage failed to {operation} {key!r}: {lines[0][:_SHOWN_CHARACTERS]}",
        ) from error
