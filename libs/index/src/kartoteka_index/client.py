import ssl
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SecretStr
from qdrant_client import AsyncQdrantClient

from kartoteka_runtime.env import Fragment

__all__ = ["QdrantSettings", "connect"]


class QdrantSettings(Fragment):
    """Where the index is and how it is spoken to."""

    prefix: ClassVar[str] = "QDRANT_"

    url: str = Field(pattern=r"^https?://[^/]")
    """Base URL of Qdrant's REST interface, as ``http://qdrant:6333``."""
    api_key: SecretStr | None = None
    """Sent in the ``api-key`` header; unset where Qdrant has no key."""
    ca_file: Path | None = None
    """PEM file of the authority that signed Qdrant's certificate; the system's when unset."""
    timeout_seconds: int = Field(default=30, gt=0)
    """Seconds that one call may take; longer hides an outage, shorter fails large batches."""
    collection: str = Field(default="kartoteka", pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    """What the names of this installation's collections begin with."""
    upsert_batch: int = Field(default=128, ge=1, le=256)
    """Points in one write; more is faster and takes longer to be acknowledged."""
    upsert_bytes: int = Field(default=8 * 1024**2, ge=1024)
    """Bytes of one write; well below the largest request that Qdrant takes (32 MiB unless set
    otherwise there). A single chunk with more is written alone."""
    shards: int = Field(default=1, ge=1)
    """Shards of a collection that has yet to be created; 1 unless Qdrant has several nodes."""
    replication_factor: int = Field(default=1, ge=1)
    """Copies of each shard of a collection that has yet to be created."""
    write_consistency_factor: int = Field(default=1, ge=1)
    """Copies that must have a write before it counts; 2 where there are 3 copies."""


def connect(settings: QdrantSettings) -> AsyncQdrantClient:
    """Return a client; it connects with its first call.

    Raises:
        OSError: the authority's file cannot be read, or is no PEM file (``ssl.SSLError``).
    """
    key = settings.api_key
    tls: dict[str, Any] = {}
    if settings.ca_file is not None:
        tls["verify"] = ssl.create_default_context(cafile=settings.ca_file)
    return AsyncQdrantClient(
        url=settings.url,
        prefer_grpc=False,
        api_key=None if key is None else key.get_secret_value(),
        timeout=settings.timeout_seconds,
        # The check is a blocking request at construction; Index.ensure looks at the server instead.
        check_compatibility=False,
        **tls,
    )
