"""Everything that can be set. The only module that reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Self, get_type_hints

from pydantic import Field

from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.parser_settings import ChunkSettings, ParserSettings
from embedder.entrypoints.worker_settings import HttpSettings, PlannerSettings, WorkerSettings
from kartoteka_index.client import QdrantSettings
from kartoteka_runtime.env import Fragment, read, read_all
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.logs import LogSettings
from kartoteka_runtime.objects import ObjectStoreSettings
from kartoteka_runtime.producer import ProducerSettings
from kartoteka_runtime.source_settings import SourceSettings
from kartoteka_runtime.tracing import TracingSettings

__all__ = ["RetrySettings", "Settings", "model_settings"]


class RetrySettings(Fragment):
    """When failed work is tried again. Outages are waited out and burn no try."""

    prefix: ClassVar[str] = "RETRY_"

    max: int = Field(default=3, ge=0, le=20)
    """Tries after the first; then the work is a dead letter."""
    base_seconds: float = Field(default=60, gt=0, le=86_400)
    """Delay before the first of them; it doubles with each."""
    jitter: float = Field(default=0.2, ge=0, le=1)
    """Share of a delay by which it may be longer, so that a burst does not come back as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the embedder, by concern."""

    kafka: KafkaSettings
    producer: ProducerSettings
    objects: ObjectStoreSettings
    qdrant: QdrantSettings
    parser: ParserSettings
    chunk: ChunkSettings
    model: ModelSettings
    log: LogSettings
    http: HttpSettings
    worker: WorkerSettings
    retry: RetrySettings
    planner: PlannerSettings
    source: SourceSettings
    tracing: TracingSettings

    @classmethod
    def fragments(cls) -> tuple[type[Fragment], ...]:
        """Return the fragments, for whoever explains the settings."""
        hints = get_type_hints(cls)
        return tuple(hints[field.name] for field in fields(cls))

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read them all; None reads the process's environment.

        Raises:
            SettingsError: naming every wrong variable.
        """
        return read_all(cls, os.environ if env is None else env)


def model_settings(env: Mapping[str, str] | None = None) -> ModelSettings:
    """Read what exporting a model needs, and nothing else.

    Raises:
        SettingsError: naming every wrong variable.
    """
    return read(ModelSettings, os.environ if env is None else env)
