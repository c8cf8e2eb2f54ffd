"""Object storage: a folder or an S3 bucket, behind one set of promises."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, SecretStr

from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.env import Fragment

__all__ = ["ObjectMissingError", "ObjectStore", "ObjectStoreSettings"]


class ObjectStoreSettings(Fragment):
    """Where bodies and records lie."""

    prefix: ClassVar[str] = "OBJECT_STORE_"

    url: str = Field(pattern=r"^(file:///|s3://[^/]+)")
    """file:///folder or s3://bucket/prefix."""
    endpoint: str | None = None
    """URL of an S3 service that is not AWS."""
    region: str = "us-east-1"
    """The bucket's region."""
    access_key_id: str | None = None
    """Access key; without one, the platform's own credentials are used."""
    secret_access_key: SecretStr | None = None
    """The access key's secret."""
    allow_http: bool = False
    """Whether the endpoint may be plain http: bodies then travel in the clear."""


class ObjectMissingError(KartotekaError):
    """There is no object under that key."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__("body_missing", f"object storage has no {key!r}")


class ObjectStore:
    """Keys to bytes."""

    @classmethod
    def open(cls, settings: ObjectStoreSettings) -> Self:
        """Open a store. No I/O on S3; a folder is created."""
        raise NotImplementedError

    async def write(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Stream an object in bounded memory; visible whole or not at all. Returns its size."""
        raise NotImplementedError

    async def create(self, key: str, data: bytes) -> bool:
        """Write unless there is something already; False says that there was."""
        raise NotImplementedError

    async def read(self, key: str) -> bytes:
        """Return a small object's bytes."""
        raise NotImplementedError

    async def download(self, key: str, to: Path) -> int:
        """Stream an object to a file. Returns its size."""
        raise NotImplementedError

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        raise NotImplementedError

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; absent ones are fine."""
        raise NotImplementedError

    async def probe(self) -> None:
        """Check that the store answers and honours create-if-absent."""
        raise NotImplementedError
