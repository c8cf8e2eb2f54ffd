"""All settings of the service. The environment is read here and nowhere else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self, get_type_hints

from pydantic import Field, SecretStr, model_validator

from kartoteka_index import QdrantSettings
from kartoteka_runtime.env import Fragment, read, read_all
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.logs import LogSettings
from kartoteka_runtime.objects import ObjectStoreSettings
from kartoteka_runtime.producer import ProducerSettings
from kartoteka_runtime.source_settings import SourceSettings
from kartoteka_runtime.tracing import TracingSettings

__all__ = [
    "ApiSettings",
    "CallerSettings",
    "EmbeddingsSettings",
    "SearchSettings",
    "Settings",
    "UploadSettings",
    "ViewSettings",
    "WatchSettings",
    "keys_file",
]

_MIB = 1024 * 1024
_GIB = 1024 * _MIB


class ApiSettings(Fragment):
    """The HTTP server."""

    prefix: ClassVar[str] = "API_"

    host: str = "127.0.0.1"
    """Address to listen on. Loopback unless set: TLS and the outside belong to a proxy."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one and logs it."""
    keys_file: Path
    """JSON file of the API keys, made by ``python -m ingest_api keys create``. Watched: a change
    counts within a second; a broken file leaves the last good keys in force."""
    docs: bool = True
    """Whether /docs and /openapi.json are served."""
    json_max_bytes: int = Field(default=64 * 1024, ge=1024)
    """Bytes of a request body that is no upload; more answers 413."""
    headers_timeout: float = Field(default=10.0, gt=0)
    """Seconds for a request's headers to arrive; a slower connection is closed."""
    receive_timeout: float = Field(default=3600.0, gt=0)
    """Seconds for a whole request body to arrive; a slower one answers 408."""
    receive_min_rate: int = Field(default=8 * 1024, ge=1)
    """Bytes per second that a body must come at on average, else 408."""
    receive_slack: float = Field(default=20.0, gt=0)
    """Seconds that a body may lag behind the rate before it is cut off."""
    shutdown_grace: float = Field(default=0.5, ge=0)
    """Seconds between turning not ready and closing the port, for load balancers to notice."""
    shutdown_drain: float = Field(default=30.0, gt=0)
    """Seconds that requests under way are given at shutdown."""


class UploadSettings(Fragment):
    """What is taken in."""

    prefix: ClassVar[str] = "UPLOAD_"

    max_bytes: int = Field(default=_GIB, ge=1)
    """Bytes of one file; more answers 413 as soon as it is seen."""
    max_request_bytes: int = Field(default=4 * _GIB, ge=1)
    """Bytes of one request with all its files; more answers 413."""
    max_files: int = Field(default=256, ge=1, le=10_000)
    """Files in one batch; more answers 413."""
    max_in_flight: int = Field(default=128, ge=1)
    """Uploads under way at once; one more answers 503 with Retry-After. Each holds up to 16 MiB."""
    max_in_flight_bytes: int = Field(default=32 * _GIB, ge=1)
    """Bytes that the uploads under way have announced together; more answers 503."""


class ViewSettings(Fragment):
    """The view of tasks that this process keeps."""

    prefix: ClassVar[str] = "VIEW_"

    path: Path
    """Folder of the view's file. It is a cache: losing it costs the time to read the topics again.
    One process at a time may use it."""
    miss_wait: float = Field(default=1.5, gt=0, le=30)
    """Seconds that a lookup of an unknown id waits for the view to catch up before it answers
    503."""
    max_listeners: int = Field(default=500, ge=1)
    """Event streams open at once; one more answers 503. Each is a connection."""
    stream_seconds: float = Field(default=3600.0, gt=0)
    """Seconds after which an event stream ends though its task goes on; clients connect again."""
    heartbeat_seconds: float = Field(default=15.0, gt=0)
    """Seconds between comments on a silent event stream, so that proxies keep it open."""


class WatchSettings(Fragment):
    """Whom the service watches, for its metrics alone."""

    prefix: ClassVar[str] = "WATCH_"

    group: str = Field(default="kartoteka-embedder", min_length=1)
    """The workers' Kafka consumer group, whose lag is shown: their WORKER_GROUP."""


class EmbeddingsSettings(Fragment):
    """Where query vectors come from."""

    prefix: ClassVar[str] = "EMBEDDINGS_"

    urls: tuple[Annotated[str, Field(pattern=r"^https?://[^/]")], ...] = Field(min_length=1)
    """Base URLs of the embedders, comma-separated; asked in turn. A name with several addresses
    counts as all of them."""
    timeout: float = Field(default=10.0, gt=0)
    """Seconds that one embedder is given for a query before the next is asked."""
    plan_timeout: float = Field(default=120.0, gt=0, le=3600)
    """Seconds for the plan of a run, which lists all that a cabinet has, from whichever embedder;
    longer answers 503."""
    rest: float = Field(default=5.0, gt=0)
    """Seconds for which an embedder that did not answer is left out."""


class SearchSettings(Fragment):
    """What searches may ask, and for which model."""

    prefix: ClassVar[str] = "SEARCH_"

    model_name: str | None = None
    """The embedding model's name; asked from the embedders when unset."""
    model_dimension: int | None = Field(default=None, ge=1)
    """Numbers in its vectors; goes with SEARCH_MODEL_NAME."""

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.model_name is None) != (self.model_dimension is None):
            raise ValueError("SEARCH_MODEL_NAME and SEARCH_MODEL_DIMENSION must be set together")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that ``ingest_api serve`` reads from the environment."""

    api: ApiSettings
    upload: UploadSettings
    kafka: KafkaSettings
    producer: ProducerSettings
    objects: ObjectStoreSettings
    logs: LogSettings
    qdrant: QdrantSettings
    view: ViewSettings
    embeddings: EmbeddingsSettings
    search: SearchSettings
    sources: SourceSettings
    watch: WatchSettings
    tracing: TracingSettings

    @classmethod
    def fragments(cls) -> tuple[type[Fragment], ...]:
        """Return what the settings are made of, for help texts."""
        return tuple(get_type_hints(cls).values())

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read all settings; ``None`` reads the process's environment.

        Raises:
            SettingsError: naming every wrong variable and what it must be.
        """
        return read_all(cls, os.environ if env is None else env)


class CallerSettings(Fragment):
    """What commands need that ask a running API."""

    prefix: ClassVar[str] = ""

    api_url: str | None = Field(default=None, pattern=r"^https?://[^/]")
    """Base URL of the API; that of the running local stack when unset, else
    http://127.0.0.1:8080."""
    api_key: SecretStr | None = None
    """An API key; that of the running local stack when unset."""
    kartoteka_home: Path = Path(".kartoteka")
    """Folder of the local stack, whose stack.json says where it is."""

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read them; ``None`` reads the process's environment.

        Raises:
            SettingsError: naming every wrong variable and what it must be.
        """
        return read(cls, os.environ if env is None else env)


def keys_file(env: Mapping[str, str] | None = None) -> Path | None:
    """Return ``API_KEYS_FILE``, for commands that need no other setting; None when unset."""
    name = (os.environ if env is None else env).get("API_KEYS_FILE", "")
    return Path(name) if name else None
